"""Settings of the result-store: limits, and each provider's address and credentials."""

from pydantic import PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ResultStoreSettings(BaseSettings):
    """RESULT_STORE_*: limits on fetching and storing."""

    model_config = SettingsConfigDict(env_prefix="RESULT_STORE_", frozen=True)

    fetch_seconds: PositiveFloat = 10.0
    """Time limit of a batch's fetches; slower outputs are fetched in the background."""
    slow_fetch_seconds: PositiveFloat = 120.0
    fetches_at_once: PositiveInt = 16
    batch_records: PositiveInt = 32
    """Limit on KAFKA_BATCH_RECORDS: a whole batch waits for its slowest image."""
    max_bytes: PositiveInt = 50 * 1024 * 1024
    max_pixels: PositiveInt = 64 * 1024 * 1024
    lora_max_bytes: PositiveInt = 2 * 1024**3
    """Limit on a LoRA's weights. Two temporary files of this size may exist at once."""
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
