"""Settings MODAL_*: our application on Modal and the limits for its use."""

from pydantic import PositiveInt, SecretStr
from pydantic_settings import SettingsConfigDict

from services.gateways.runtime.settings import UncertainOutcomeSettings


class ModalSettings(UncertainOutcomeSettings):
    """Settings of the adapter. `key` and `secret` are proxy-auth credentials (wk-…, ws-…), not API tokens."""

    model_config = SettingsConfigDict(env_prefix="MODAL_", frozen=True)

    base_url: str
    """Address; with `user:password@` for a proxy with Basic authentication."""
    key: SecretStr
    secret: SecretStr
    training_steps: PositiveInt = 1000
    """Default for requests without a number of steps."""
