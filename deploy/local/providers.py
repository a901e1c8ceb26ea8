"""Real providers that the environment selects in place of simulators, and their variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from deploy.local.servers import SIMULATORS

SELECTED_BY = {"modal": "MODAL_BASE_URL", "comfyui": "COMFYUI_BASE_URL", "fal": "FAL_QUEUE_URL"}
"""The variable whose address selects the real provider. A key alone selects none."""
REQUIRED = {"modal": ("MODAL_KEY", "MODAL_SECRET"), "comfyui": (), "fal": ("FAL_KEY",)}
PREFIXES = {"modal": ("MODAL_",), "comfyui": ("COMFYUI_",), "fal": ("FAL_", "GATEWAY_WEBHOOK_")}
FAL_ADDRESS = "https://queue.fal.run"


class ProviderNotUsable(Exception):
    """A real provider was selected and a variable that it needs is missing or wrong."""


@dataclass(frozen=True)
class RealProviders:
    """Real providers by name, with their variables. Keys stay in memory and are never printed."""

    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.environments)

    @property
    def simulated(self) -> tuple[str, ...]:
        """The providers that are simulated because no real one is selected."""
        return tuple(name for name in SIMULATORS if name not in self.environments)

    @property
    def variables(self) -> dict[str, str]:
        """All variables for the services."""
        return {key: value for each in self.environments.values() for key, value in each.items()}

    @property
    def addresses(self) -> dict[str, str]:
        """The address of each provider, without user and password."""
        return {name: _address(name, each) for name, each in self.environments.items()}


def real_providers(environment: Mapping[str, str] = os.environ) -> RealProviders:
    """Return the real providers that the environment selects.

    Raises:
        ProviderNotUsable: naming the variables that are missing or wrong.
    """
    named = [name for name in SIMULATORS if environment.get(SELECTED_BY[name])]
    for name in named:
        _check(name, environment)
    return RealProviders({name: _variables(PREFIXES[name], environment) for name in named})


def with_options(
    environment: Mapping[str, str], *, comfyui: str | None, modal: str | None, fal: bool
) -> dict[str, str]:
    """Return the environment with the addresses from the options of `up`.

    Raises:
        ProviderNotUsable: when Fal is selected without a key.
    """
    if fal and not environment.get("FAL_KEY"):
        raise ProviderNotUsable("--fal needs the key of a Fal account in the environment: FAL_KEY=id:secret")
    fal_address = (environment.get(SELECTED_BY["fal"]) or FAL_ADDRESS) if fal else None
    urls = {"comfyui": comfyui, "modal": modal, "fal": fal_address}
    return {**environment, **{SELECTED_BY[name]: url for name, url in urls.items() if url}}


def _check(name: str, environment: Mapping[str, str]) -> None:
    variable = SELECTED_BY[name]
    if missing := [each for each in REQUIRED[name] if not environment.get(each)]:
        raise ProviderNotUsable(
            f"{variable} selects the real provider {name}, which also needs "
            f"{' and '.join(missing)} in the environment"
        )
    url = urlsplit(environment[variable])
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ProviderNotUsable(f"{variable} (option --{name}) must be an http or https address")


def _variables(prefixes: tuple[str, ...], environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(prefixes) and value}


def _address(name: str, environment: Mapping[str, str]) -> str:
    url = urlsplit(environment[SELECTED_BY[name]])
    return url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()
