"""MODAL_*: our application on Modal, and how hard this process uses it."""

from pydantic import PositiveInt, SecretStr
from pydantic_settings import SettingsConfigDict

from services.gateways.runtime.settings import UncertainOutcomeSettings


class ModalSettings(UncertainOutcomeSettings):
    """`key` and `secret` are proxy-auth credentials (wk-…, ws-…), not API tokens."""

    model_config = SettingsConfigDict(env_prefix="MODAL_", frozen=True)

    base_url: str
    """With `user:password@` for a proxy that asks for Basic authentication."""
    key: SecretStr
    secret: SecretStr
    training_steps: PositiveInt = 1000
    """For requests that do not say."""
