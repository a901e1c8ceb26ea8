"""Settings that all gateways share: limits for the use of their provider."""

from dataclasses import replace

from pydantic import PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings

from services.gateways.runtime.lifecycle.limits import MAX_IN_MEMORY, ProviderLimits


class LimitsSettings(BaseSettings):
    """Base class of a gateway's settings; each gateway has its own prefix of environment names."""

    slots: PositiveInt = 64
    """Maximum number of submissions in flight at the provider, over all processes of the gateway."""
    submits_per_second: PositiveFloat | None = None
    """Maximum average rate over all processes of the gateway; None means no limit."""
    max_in_memory: PositiveInt = MAX_IN_MEMORY
    """Maximum number of attempts in one process; further commands stay on the broker."""
    submit_timeout_seconds: PositiveFloat = 30.0

    @property
    def limits(self) -> ProviderLimits:
        """Limits and intervals for the provider."""
        return ProviderLimits(
            slots=self.slots,
            submits_per_second=self.submits_per_second,
            max_in_memory=self.max_in_memory,
            submit_timeout=self.submit_timeout_seconds,
        )


class UncertainOutcomeSettings(LimitsSettings):
    """Settings for a provider that has no lookup, or whose not-found has to be confirmed."""

    grace_seconds: PositiveFloat = 120.0
    """How long an unknown outcome may still be reported by a webhook, and how long the provider must keep
    answering "not found" before an attempt counts as lost."""
    resubmit_unknown: bool = True
    """Allow a retry after an outcome stayed unknown. Both may be billed, and the ledger shows it."""

    @property
    def limits(self) -> ProviderLimits:
        """Limits and intervals for the provider, with the rules for unknown outcomes."""
        return replace(
            super().limits, grace_period=self.grace_seconds, resubmit_unknown=self.resubmit_unknown
        )
