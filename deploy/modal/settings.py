"""IMAGEGEN_MODAL_*: settings of a deployment. Read by the deploying command and again in the containers."""

import json
from typing import Final

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX: Final = "IMAGEGEN_MODAL_"


class AppSettings(BaseSettings):
    """Settings without secrets. Modal stores the secrets, under the name in `hf_secret`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    app_name: str = "imagegen"
    models: tuple[str, ...] = ("black-forest-labs/FLUX.1-dev", "black-forest-labs/FLUX.1-schnell")
    """The Flux models that requests may choose; the first is the default."""
    hf_secret: str = "huggingface"
    """Name of a Modal secret with HF_TOKEN, for models that require a licence to be accepted."""

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
    """Build the ComfyUI image too, and run workflows."""
    comfyui_version: str = "v0.27.1"

    face_swap: bool = False
    """Swap faces. It needs a model on the volume that has its own licence; see the README."""

    nsfw_model: str = "Falconsai/nsfw_image_detection"
    nsfw_threshold: PositiveFloat = 0.5

    stale_seconds: PositiveFloat = 30.0
    """Age at which a reservation without a call is taken over."""
    keep_outputs_days: PositiveInt = 7

    def as_environment(self) -> dict[str, str]:
        """Return the settings as environment variables for the containers."""
        values = self.model_dump(mode="json")
        return {
            PREFIX + name.upper(): value if isinstance(value, str) else json.dumps(value)
            for name, value in values.items()
        }
