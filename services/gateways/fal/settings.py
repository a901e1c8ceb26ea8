"""FAL_*: the queue, our key, and which model does what."""

from pydantic import PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class FalSettings(BaseSettings):
    """Model ids are settings because Fal's catalogue changes."""

    model_config = SettingsConfigDict(env_prefix="FAL_", frozen=True)

    key: SecretStr
    queue_url: str = "https://queue.fal.run"
    text_model: str = "fal-ai/flux/dev"
    lora_model: str = "fal-ai/flux-lora"
    identity_model: str = "fal-ai/flux-pulid"
    """Draws a person from a reference image: character references and face swaps."""
    slots: PositiveInt = 64
    submit_timeout_seconds: PositiveFloat = 30.0
    grace_seconds: PositiveFloat = 120.0
    resubmit_unknown: bool = True
    """Send again when an outcome stayed unknown; both may be billed, and the ledger says so."""
