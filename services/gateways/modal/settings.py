"""MODAL_*: our application on Modal, and how hard this process uses it."""

from pydantic import PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.gateways.runtime.provider import MOST_HELD, Pace


class ModalSettings(BaseSettings):
    """`key` and `secret` are proxy-auth credentials (wk-…, ws-…), not API tokens."""

    model_config = SettingsConfigDict(env_prefix="MODAL_", frozen=True)

    base_url: str
    key: SecretStr
    secret: SecretStr
    slots: PositiveInt = 64
    submits_per_second: PositiveFloat | None = None
    """At the most, on average, over all processes of the gateway; None is no limit."""
    most_held: PositiveInt = MOST_HELD
    """So many attempts one process holds, waiting or sent; above it, what comes waits on the broker."""
    submit_timeout_seconds: PositiveFloat = 30.0
    grace_seconds: PositiveFloat = 120.0
    """So long the application must say that it knows nothing of a call that it started."""
    resubmit_unknown: bool = True
    """Whether a render is then tried again; both may be billed, and the ledger says so."""
    training_steps: PositiveInt = 1000
    """For requests that do not say."""

    @property
    def pace(self) -> Pace:
        """How our application is used."""
        return Pace(
            slots=self.slots,
            submits_per_second=self.submits_per_second,
            most_held=self.most_held,
            submit_timeout=self.submit_timeout_seconds,
            grace=self.grace_seconds,
            resubmit_unknown=self.resubmit_unknown,
        )
