"""COMFYUI_*: one ComfyUI server, and the models that it has."""

from pathlib import Path

from pydantic import PositiveFloat, PositiveInt
from pydantic_settings import SettingsConfigDict

from services.gateways.kit.dialects import Dialect
from services.gateways.runtime.settings import LimitsSettings


class ComfyUISettings(LimitsSettings):
    """The server has no authentication of its own: keep it on a private network."""

    model_config = SettingsConfigDict(env_prefix="COMFYUI_", frozen=True, env_ignore_empty=True)

    base_url: str
    """With `user:password@` for a server behind Basic authentication."""
    checkpoint: str = "sd_xl_base_1.0.safetensors"
    """Draws whatever needs no LoRA for Flux; the templates for it are of the SDXL kind."""
    dialect: Dialect = "tags"
    """What `checkpoint` reads, and a workflow that names neither a Flux nor an SDXL model."""
    flux_checkpoint: str = "flux1-dev-fp8.safetensors"
    """Draws with LoRAs that were trained on Flux."""
    lora_dir: Path | None = None
    """A folder that the server reads LoRAs from (its `models/loras`, or one of its extra model paths),
    shared with us; without it, renders with a LoRA are left to other providers."""
    lora_keep_days: PositiveFloat = 30.0
    """A LoRA that we laid into that folder, and that no render used for so long, is removed."""
    slots: PositiveInt = 64
    """Prompts in the server's queue at the most; it runs one at a time."""
    submit_timeout_seconds: PositiveFloat = 20.0
