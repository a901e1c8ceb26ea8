"""MODAL_*: our application on Modal, and how hard this process uses it."""

from pydantic import PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ModalSettings(BaseSettings):
    """`key` and `secret` are proxy-auth credentials (wk-…, ws-…), not API tokens."""

    model_config = SettingsConfigDict(env_prefix="MODAL_", frozen=True)

    base_url: str
    key: SecretStr
    secret: SecretStr
    slots: PositiveInt = 64
    submit_timeout_seconds: PositiveFloat = 30.0
    grace_seconds: PositiveFloat = 120.0
    """So long the application must say that it knows nothing of a call that it started."""
    resubmit_unknown: bool = True
    """Whether a render is then tried again; both may be billed, and the ledger says so."""
    training_steps: PositiveInt = 1000
    """For requests that do not say."""
