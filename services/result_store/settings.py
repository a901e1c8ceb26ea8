"""RESULT_STORE_*, and each provider's own variables: where outputs may be fetched, and with what."""

from pydantic import PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ResultStoreSettings(BaseSettings):
    """Limits on what is fetched and stored."""

    model_config = SettingsConfigDict(env_prefix="RESULT_STORE_", frozen=True)

    fetch_seconds: PositiveFloat = 10.0
    """What takes longer is fetched in the background, so that no partition waits for it."""
    slow_fetch_seconds: PositiveFloat = 120.0
    fetches_at_once: PositiveInt = 16
    batch_records: PositiveInt = 32
    """Instead of KAFKA_BATCH_RECORDS where that is more: all of a batch wait for its last picture."""
    max_bytes: PositiveInt = 50 * 1024 * 1024
    max_pixels: PositiveInt = 64 * 1024 * 1024
    lora_max_bytes: PositiveInt = 2 * 1024**3
    """Weights of a LoRA; they pass through a temporary file of this size, two at once."""
    lora_fetch_seconds: PositiveFloat = 1800.0


class ModalOutputs(BaseSettings):
    """MODAL_*: outputs are paths of our application there."""

    model_config = SettingsConfigDict(env_prefix="MODAL_", frozen=True)

    base_url: str
    key: SecretStr
    secret: SecretStr


class ComfyUIOutputs(BaseSettings):
    """COMFYUI_*: outputs are paths of the server."""

    model_config = SettingsConfigDict(env_prefix="COMFYUI_", frozen=True)

    base_url: str


class FalOutputs(BaseSettings):
    """FAL_*: outputs are URLs on these hosts (`host` or `host:port`, separated by commas)."""

    model_config = SettingsConfigDict(env_prefix="FAL_", frozen=True)

    media_hosts: str = "fal.media,v3.fal.media,v3b.fal.media"
