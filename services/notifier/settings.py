"""Settings of the notifier, from its environment."""

import base64
import binascii

from pydantic import Field, PositiveInt, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """NOTIFIER_*."""

    model_config = SettingsConfigDict(env_prefix="NOTIFIER_", frozen=True)

    webhook_secret: SecretStr
    """Key that signs webhooks (Standard Webhooks): base64, with or without `whsec_`."""
    allow_private_hosts: bool = False
    """Deliver to private and loopback addresses too; only for a stack on one machine."""
    concurrency: PositiveInt = 32
    """Number of webhooks in flight."""
    timeout_seconds: int = Field(default=10, ge=1, le=20)
    """Shorter than the lease of a delivery (30 s), so that no other instance sends it meanwhile."""
    link_seconds: PositiveInt = 3600
    """Lifetime of the links in events, from when they are sent."""

    @field_validator("webhook_secret")
    @classmethod
    def _is_a_key(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value().removeprefix("whsec_")
        try:
            key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except binascii.Error:
            key = b""
        if len(key) < 16:
            raise ValueError("must be base64 of at least 16 bytes, with or without 'whsec_' before it")
        return value
