"""Real providers in place of simulators: selected by options or the environment, keys kept secret."""

import pytest

from deploy.local.providers import FAL_ADDRESS, ProviderNotUsable, real_providers, with_options
from deploy.local.services import basics

COMFYUI = {"COMFYUI_BASE_URL": "http://gpu.example:8188", "COMFYUI_CHECKPOINT": "own.safetensors"}
MODAL = {"MODAL_BASE_URL": "https://acme--imagegen.modal.run", "MODAL_KEY": "wk-1", "MODAL_SECRET": "ws-1"}
FAL_KEY = {"FAL_KEY": "id:secret"}
FAL = {**FAL_KEY, "FAL_QUEUE_URL": FAL_ADDRESS}


def test_all_providers_are_simulated_by_default() -> None:
    assert real_providers({"PATH": "/bin"}).simulated == ("modal", "comfyui", "fal")


@pytest.mark.parametrize(
    ("environment", "real"),
    [(COMFYUI, "comfyui"), (MODAL, "modal"), (FAL, "fal")],
)
def test_a_selected_provider_is_real_with_all_its_variables_and_the_others_are_simulated(
    environment: dict[str, str], real: str
) -> None:
    found = real_providers({**environment, "PATH": "/bin"})
    assert found.names == (real,)
    assert real not in found.simulated
    assert len(found.simulated) == 2
    assert found.variables == environment


def test_options_select_providers_as_the_environment_does() -> None:
    named = with_options(FAL_KEY, comfyui="http://gpu.example:8188", modal=None, fal=True)
    assert real_providers(named).names == ("comfyui", "fal")
    assert real_providers(named).addresses["fal"] == FAL_ADDRESS


def test_a_key_of_fal_alone_selects_nothing_and_reaches_no_process() -> None:
    found = real_providers(with_options(FAL_KEY, comfyui=None, modal=None, fal=False))
    assert found.simulated == ("modal", "comfyui", "fal")
    assert found.variables == {}
    assert "FAL_KEY" not in basics(FAL_KEY)


def test_the_option_keeps_the_address_of_fal_from_the_environment() -> None:
    shell = {**FAL_KEY, "FAL_QUEUE_URL": "https://fal.example"}
    named = with_options(shell, comfyui=None, modal=None, fal=True)
    assert real_providers(named).addresses == {"fal": "https://fal.example"}


def test_an_address_of_fal_without_its_key_is_rejected() -> None:
    with pytest.raises(ProviderNotUsable, match="which also needs FAL_KEY"):
        real_providers({"FAL_QUEUE_URL": FAL_ADDRESS})


def test_the_fal_option_without_a_key_is_rejected() -> None:
    with pytest.raises(ProviderNotUsable, match="FAL_KEY"):
        with_options({}, comfyui=None, modal=None, fal=True)


def test_certificate_authorities_of_the_shell_reach_the_services() -> None:
    shell = {"SSL_CERT_FILE": "/etc/own.pem", "SSL_CERT_DIR": "/etc/own", "HTTPS_PROXY": "http://proxy:3128"}
    given = basics(shell)
    assert given["SSL_CERT_FILE"] == "/etc/own.pem"
    assert given["SSL_CERT_DIR"] == "/etc/own"
    assert "HTTPS_PROXY" not in given


def test_modal_without_its_keys_is_rejected_by_name() -> None:
    with pytest.raises(ProviderNotUsable, match="MODAL_KEY and MODAL_SECRET"):
        real_providers({"MODAL_BASE_URL": MODAL["MODAL_BASE_URL"]})


def test_an_invalid_address_is_rejected_without_echoing_it() -> None:
    with pytest.raises(ProviderNotUsable, match="COMFYUI_BASE_URL") as failure:
        real_providers({"COMFYUI_BASE_URL": "user:hunter2@gpu:8188"})
    assert "hunter2" not in str(failure.value)


def test_addresses_are_shown_without_credentials_and_keys_are_not_shown_at_all() -> None:
    found = real_providers({**MODAL, **FAL, "COMFYUI_BASE_URL": "http://me:hunter2@gpu:8188/x"})
    assert found.addresses["comfyui"] == "http://gpu:8188/x"
    shown = f"{found!r} {found.addresses}"
    assert not any(secret in shown for secret in ("hunter2", "wk-1", "ws-1", "id:secret"))
