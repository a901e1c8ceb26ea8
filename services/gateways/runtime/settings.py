"""What the settings of every gateway say of how hard it uses its provider."""

from dataclasses import replace

from pydantic import PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings

from services.gateways.kit.provider import MAX_IN_MEMORY, ProviderLimits


class LimitsSettings(BaseSettings):
    """The base of a gateway's settings; the prefix of the environment names is its own."""

    slots: PositiveInt = 64
    """Submissions at the provider at the most, over all processes of the gateway."""
    submits_per_second: PositiveFloat | None = None
    """At the most, on average, over all processes of the gateway; None is no limit."""
    max_in_memory: PositiveInt = MAX_IN_MEMORY
    """So many attempts one process holds, waiting or sent; above it, what comes waits on the broker."""
    submit_timeout_seconds: PositiveFloat = 30.0

    @property
    def limits(self) -> ProviderLimits:
        """How the provider is used."""
        return ProviderLimits(
            slots=self.slots,
            submits_per_second=self.submits_per_second,
            max_in_memory=self.max_in_memory,
            submit_timeout=self.submit_timeout_seconds,
        )


class UncertainOutcomeSettings(LimitsSettings):
    """For a provider whose word may stay out, or be a no that is not to be believed at once."""

    grace_seconds: PositiveFloat = 120.0
    """So long an unanswered submission may still show itself by a webhook, and so long the provider must
    say that it knows nothing of what it took."""
    resubmit_unknown: bool = True
    """Send again when an outcome stayed unknown; both may be billed, and the ledger says so."""

    @property
    def limits(self) -> ProviderLimits:
        """How the provider is used, and how long it is waited for."""
        return replace(
            super().limits, grace_period=self.grace_seconds, resubmit_unknown=self.resubmit_unknown
        )
