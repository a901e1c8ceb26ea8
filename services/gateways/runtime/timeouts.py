"""When we end an attempt by ourselves, whatever becomes of it at the provider: that is asked for later."""

from datetime import datetime, timedelta

import structlog

from contracts.base import Provider
from services.gateways.kit.provider import Failed, NotFound, ProviderLimits
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.reports import Reports
from shared.clock import now

log = structlog.get_logger()

NOT_FOUND_ANSWERS = 4
"""So often, spread over the grace, a provider must say that it has none of what it took."""


class Timeouts:
    """Each method says how long there is still hope, in seconds; None: it has ended the attempt."""

    def __init__(self, reports: Reports, provider: Provider, limits: ProviderLimits) -> None:
        self._reports = reports
        self._provider = provider
        self._pace = limits

    def overdue(self, attempt: Attempt) -> bool:
        """No one has wanted it for so long that it must not keep its slot."""
        return now() > attempt.command.deadline_at + timedelta(seconds=self._pace.overdue_after)

    async def end_overdue(self, attempt: Attempt) -> float | None:
        """The provider is silent, or works on and on."""
        broken = Failed("lost", "the provider did not end it long after its deadline", False, "unknown")
        await self._reports.given_up(attempt, broken)
        return None

    async def end_unanswered(self, attempt: Attempt, sent: datetime) -> float | None:
        """It cannot be asked whether it took what was sent; a webhook may still tell."""
        left = (sent + timedelta(seconds=self._pace.grace_period) - now()).total_seconds()
        if left > 0:
            return left
        broken = Failed(
            "outcome_unknown",
            f"{self._provider} never said whether it took this; it may have been billed",
            self._pace.resubmit_unknown,
            "unknown",
        )
        await self._reports.given_up(attempt, broken)
        return None

    async def miss(self, attempt: Attempt, missing: NotFound) -> float | None:
        """One 404 buys no second submission; a cancelled one buys none anyway."""
        since = attempt.not_found_since = attempt.not_found_since or now()
        attempt.not_found_count += 1
        left = (since + timedelta(seconds=self._pace.grace_period) - now()).total_seconds()
        doubtful = left > 0 or attempt.not_found_count < NOT_FOUND_ANSWERS
        if doubtful and not attempt.cancel and not self.overdue(attempt):
            log.info("missing_at_provider", attempt_id=attempt.id, checks=attempt.not_found_count)
            return self._pace.grace_period / (NOT_FOUND_ANSWERS - 1)
        again = missing.retryable and self._pace.resubmit_unknown
        broken = Failed(missing.code, missing.message, again, missing.billed)
        await self._reports.given_up(attempt, broken)
        return None
