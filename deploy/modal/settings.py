"""IMAGEGEN_MODAL_*: what is deployed, and on what. Read when deploying, and again in the containers."""

import json
from typing import Final

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX: Final = "IMAGEGEN_MODAL_"


class AppSettings(BaseSettings):
    """Nothing here is secret: secrets are Modal's own, named by `hf_secret`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    app_name: str = "imagegen"
    models: tuple[str, ...] = ("black-forest-labs/FLUX.1-dev", "black-forest-labs/FLUX.1-schnell")
    """The Flux models that may be asked for; the first is the default."""
    hf_secret: str = "huggingface"
    """A Modal secret with HF_TOKEN, for models that want a licence accepted."""

    gpu: str = "H100"
    image_timeout_seconds: PositiveInt = 600
    min_containers: NonNegativeInt = 0
    max_containers: PositiveInt = 10
    scaledown_seconds: PositiveInt = 120
    memory_snapshots: bool = False

    training: bool = True
    training_gpu: str = "H100"
    training_timeout_seconds: PositiveInt = 2 * 3600

    comfyui: bool = False
    """Build ComfyUI's image too, and run workflows."""
    comfyui_version: str = "v0.27.1"

    face_swap: bool = False
    """Needs a swapping model on the volume, which has its own licence: see the README."""

    nsfw_model: str = "Falconsai/nsfw_image_detection"
    nsfw_threshold: PositiveFloat = 0.5

    stale_seconds: PositiveFloat = 30.0
    """After this long an id that was reserved but has no call is taken over."""
    keep_outputs_days: PositiveInt = 7

    def as_environment(self) -> dict[str, str]:
        """The same settings, for the containers that read them again."""
        values = self.model_dump(mode="json")
        return {
            PREFIX + name.upper(): value if isinstance(value, str) else json.dumps(value)
            for name, value in values.items()
        }
