"""Settings of the api, from its environment."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """API_*."""

    model_config = SettingsConfigDict(env_prefix="API_", frozen=True)

    link_seconds: int = Field(default=3600, ge=60, le=7 * 24 * 3600)
    """Lifetime of a signed link to a result."""
