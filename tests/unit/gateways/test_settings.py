"""Settings reach the runtime."""

import pytest

from services.gateways.comfyui.settings import ComfyUISettings
from services.gateways.fal.settings import FalSettings
from services.gateways.modal.settings import ModalSettings

REQUIRED = {"KEY": "k", "SECRET": "s", "BASE_URL": "http://host"}


@pytest.mark.parametrize("kind", [FalSettings, ModalSettings, ComfyUISettings])
def test_a_rate_is_a_setting_of_every_gateway(
    kind: type[FalSettings | ModalSettings | ComfyUISettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = kind.model_config["env_prefix"]
    for name, value in (REQUIRED | {"SUBMITS_PER_SECOND": "2.5", "SLOTS": "8"}).items():
        monkeypatch.setenv(f"{prefix}{name}", value)
    settings = kind()
    assert (settings.limits.submits_per_second, settings.limits.slots) == (2.5, 8)
