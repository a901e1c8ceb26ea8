"""Settings COMFYUI_*: one ComfyUI server and its models."""

from pathlib import Path

from pydantic import PositiveFloat, PositiveInt
from pydantic_settings import SettingsConfigDict

from services.gateways.kit.dialects import Dialect
from services.gateways.runtime.settings import LimitsSettings


class ComfyUISettings(LimitsSettings):
    """One server. It has no authentication of its own: keep it on a private network."""

    model_config = SettingsConfigDict(env_prefix="COMFYUI_", frozen=True, env_ignore_empty=True)

    base_url: str
    """Address; with `user:password@` for a server behind Basic authentication."""
    checkpoint: str = "sd_xl_base_1.0.safetensors"
    """Checkpoint for everything without a Flux LoRA; its templates are for SDXL models."""
    dialect: Dialect = "tags"
    """Prompt dialect of `checkpoint`, and of workflows that name neither a Flux nor an SDXL model."""
    flux_checkpoint: str = "flux1-dev-fp8.safetensors"
    """Checkpoint for LoRAs that were trained on Flux."""
    lora_dir: Path | None = None
    """Folder from which the server reads LoRAs (its `models/loras`, or one of its extra model paths),
    shared with us; without it, renders with a LoRA are left to other providers."""
    lora_keep_days: PositiveFloat = 30.0
    """Days after which an unused LoRA that we wrote into that folder is removed."""
    slots: PositiveInt = 64
    """Maximum number of prompts in the server's queue; it runs one at a time."""
    submit_timeout_seconds: PositiveFloat = 20.0
