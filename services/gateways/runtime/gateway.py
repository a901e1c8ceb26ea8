"""An attempt's way through a provider: intent, submit, settle, poll, finish; cancel at any point.

The intent is durable before anything is sent, and what was sent without a usable answer is settled
by asking before anything is sent again.
"""

from datetime import timedelta

import structlog

from services.gateways.kit.crash_points import crash_point
from services.gateways.kit.provider import (
    LOCKED_OUT,
    CannotBeAsked,
    Completed,
    Failed,
    InProgress,
    NotAccepted,
    NotFound,
    OutcomeUnknown,
    Payload,
    Provider,
    ProviderLimits,
    Rejected,
    StatusUnavailable,
    StreamsProgress,
    SubmissionRef,
)
from services.gateways.runtime.ledger.ledger import Ledger, named
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.lifecycle.intervals import backoff, jittered, next_interval
from services.gateways.runtime.reports import Reports
from services.gateways.runtime.scheduling.submission_gate import SubmissionGate
from services.gateways.runtime.timeouts import Timeouts
from shared.clock import now
from shared.kafka.publisher import Publisher
from shared.mongo.leases import LEASE_SECONDS, Lease, LeaseExpired
from shared.transient import is_transient

log = structlog.get_logger()

MOST_ERRORS = 3
"""So often something unforeseen may happen to an attempt before it is sent, half a minute apart."""
INTENT_HOLDS = timedelta(seconds=2)
"""So old an intent may be when it is sent: an heir waits from then on for what may be on its way."""


class Gateway:
    """Moves attempts on at one provider. `step` is what the engine calls."""

    def __init__(
        self,
        provider: Provider,
        ledger: Ledger,
        lease: Lease,
        publisher: Publisher,
        limits: ProviderLimits,
        gate: SubmissionGate | None = None,
    ) -> None:
        self._provider = provider
        self._hinting = provider if isinstance(provider, StreamsProgress) else None
        self._ledger = ledger
        self._lease = lease
        self._pace = limits
        self._gate = gate or SubmissionGate()
        self._reports = Reports(ledger, lease, publisher)
        self._giving_up = Timeouts(self._reports, provider.name, limits)
        self.min_poll_interval = 0.0
        """Seconds between polls where they may be rarer than `Pace` has them: see `RollCall`."""

    async def step(self, attempt: Attempt) -> float | None:
        """Take an attempt's next step; seconds until the one after, None if it has ended or is not ours."""
        if attempt.owner != self._lease.owner:
            return None  # held under a lease that this process has lost: its heir goes on, be it this process
        match attempt.state:
            case "accepted":
                return await self._submit(attempt)
            case "submitting" | "unknown":
                return await self._settle(attempt)
            case "submitted":
                return await self._follow(attempt)
        return None

    async def _submit(self, attempt: Attempt) -> float | None:
        if attempt.cancel:
            await self._reports.cancelled(attempt)
            return None
        if attempt.command.deadline_at <= now():
            broken = Failed("deadline_exceeded", "its deadline passed before it was sent", False, "no")
            await self._reports.failed(attempt, broken)
            return None
        if pause := self._gate.wait():
            if self._gate.is_open and attempt.command.alternatives:
                reason = f"circuit open: {self._gate.breaker.reason}"
                await self._reports.failed(attempt, Failed("provider_unreachable", reason, True, "no"))
                return None
            return pause
        await self._gate.begin()  # nothing is awaited since the look: one probe, not many
        try:
            payload = await self._get_ready(attempt)
        except Exception as error:
            self._gate.abandoned()
            return await self._not_ready(attempt, error)
        if payload is None:
            self._gate.abandoned()
            return None
        try:
            ref = await self._provider.submit(attempt.request, payload)
        except Rejected as refused:
            await self._heard_refusal(refused)
            return await self._refused(attempt, refused)
        except NotAccepted as busy:
            await self._gate.failed(str(busy))
            return await self._not_taken(attempt, busy)
        except OutcomeUnknown as unknown:
            await self._gate.failed(str(unknown))
            log.warning("submit_outcome_unknown", attempt_id=attempt.id, error=str(unknown))
            attempt.state = "unknown"
            return await self._keep(attempt, "unknown", billed="unknown", then=0.5)
        except Exception:  # nobody foresaw it; it says nothing of the provider
            self._gate.abandoned()
            raise
        crash_point("after_answer")
        try:
            return await self._submitted(attempt, ref)
        finally:
            await self._gate.answered()

    async def _get_ready(self, attempt: Attempt) -> Payload | None:
        """All that comes before the sending; None: the attempt is another's by now."""
        payload = await self._provider.prepare(attempt.request)
        self._lease.check(attempt.owner, f"the intent of {attempt.id}")
        crash_point("before_intent")
        if not await self._intend(attempt):
            return None
        crash_point("after_intent")
        try:
            self._lease.check(attempt.owner, f"sending {attempt.id}")
        except LeaseExpired:
            attempt.state = "accepted"  # surely not sent; the intent is written anew
            raise
        return payload

    async def _not_ready(self, attempt: Attempt, error: Exception) -> float | None:
        """Nothing was sent. What nobody foresaw is loud each time, and not repeated for ever."""
        match error:
            case Rejected():
                return await self._refused(attempt, error)
            case NotAccepted():
                return await self._not_taken(attempt, error)
        if is_transient(error):
            raise error
        attempt.errors += 1
        if attempt.errors < MOST_ERRORS:
            raise error
        log.error("given_up_before_sending", attempt_id=attempt.id, exc_info=error)
        reason = f"{type(error).__name__} before it was sent; the gateway's log has more"
        await self._reports.failed(attempt, Failed("internal_error", reason, True, "no"))
        return None

    async def _heard_refusal(self, refused: Rejected) -> None:
        """A refused request is an answer; a provider that does not let us in is out of order."""
        if refused.code in LOCKED_OUT:
            await self._gate.failed(str(refused))
        else:
            await self._gate.answered()

    async def _intend(self, attempt: Attempt) -> bool:
        since = attempt.submitting_at if attempt.intended else None
        attempt.intended = False
        fresh = since is not None and now() < since + INTENT_HOLDS
        kept = fresh or await self._ledger.intend(attempt)
        attempt.state = "submitting"  # not before: without a written intent nothing is sent
        return kept

    async def _submitted(self, attempt: Attempt, ref: SubmissionRef) -> float | None:
        attempt.state, attempt.ref, attempt.pause = "submitted", ref, self._pace.first_poll_interval
        attempt.saved = False
        if self._provider.can_find_again(ref):  # written once it is found working, or with its end
            return attempt.pause
        return await self._save_handle(attempt)

    async def _save_handle(self, attempt: Attempt) -> float | None:
        """Write down what the provider calls it; a write that fails is done again by the next step."""
        assert attempt.ref is not None, "there is a handle to save"
        then = await self._keep(
            attempt,
            "submitted",
            **named(attempt.ref),
            submitted_at=now(),
            billed="yes",
            then=attempt.pause,
        )
        if then is None:
            await self._ledger.save_ref_after_loss(attempt.id, attempt.submitting_at, attempt.ref)
        attempt.saved = True
        crash_point("after_handle")
        return then

    async def _ask_to_stop(self, attempt: Attempt, ref: SubmissionRef) -> None:
        try:
            await self._provider.cancel(attempt.request, ref)
        except StatusUnavailable as silence:
            log.info("cancel_not_answered", attempt_id=attempt.id, error=str(silence))

    async def _keep(self, attempt: Attempt, state: str, *, then: float, **fields: object) -> float | None:
        kept = await self._ledger.move(attempt, state, **fields)  # type: ignore[arg-type]
        return then if kept else None

    async def _refused(self, attempt: Attempt, refused: Rejected) -> float | None:
        broken = Failed(refused.code, refused.message, refused.retryable, "no")
        await self._reports.failed(attempt, broken)
        return None

    async def _not_taken(self, attempt: Attempt, busy: NotAccepted) -> float | None:
        """The provider surely has nothing: the same attempt may be sent again, after a pause."""
        attempt.tries += 1
        attempt.state = "accepted"
        if attempt.tries >= self._pace.max_submit_tries:
            await self._reports.failed(attempt, Failed(busy.code, busy.message, True, "no"))
            return None
        floor = busy.after_seconds or 0.0
        if floor > self._pace.max_retry_after and attempt.command.alternatives:
            await self._reports.failed(attempt, Failed(busy.code, busy.message, True, "no"))
            return None
        left = (attempt.command.deadline_at - now()).total_seconds()
        then = min(floor + backoff(attempt.tries), max(0.0, left) + 0.1)
        kept = await self._ledger.requeue(attempt)
        return then if kept else None

    async def _settle(self, attempt: Attempt) -> float | None:
        """Find out what became of a submission before anything is sent again."""
        if known := attempt.ref or await self._ledger.ref_of(attempt.id):
            return await self._submitted(attempt, known)
        sent = attempt.submitting_at or now()
        wait = timedelta(seconds=LEASE_SECONDS + self._pace.submit_timeout)
        attempt.state = "unknown"
        overdue = self._giving_up.overdue(attempt)
        try:
            ref = await self._provider.find(attempt.request)
        except StatusUnavailable:
            return await self._giving_up.end_overdue(attempt) if overdue else self._slower(attempt)
        except CannotBeAsked:
            if overdue:
                return await self._giving_up.end_overdue(attempt)
            return await self._giving_up.end_unanswered(attempt, sent)
        if ref is not None:
            log.info("submission_found", attempt_id=attempt.id, external_id=ref["id"])
            crash_point("after_finding")
            return await self._submitted(attempt, ref)
        if overdue:
            return await self._giving_up.end_overdue(attempt)
        if now() < sent + wait:
            return min(2.0, (sent + wait - now()).total_seconds() + 0.1)
        lost = NotAccepted("submission_lost", "sent without an answer, and the provider has none of it")
        return await self._not_taken(attempt, lost)

    async def _follow(self, attempt: Attempt) -> float | None:
        assert attempt.ref is not None, "a submitted attempt has a handle"
        if attempt.done is not None:
            await self._reports.done(attempt, attempt.done)
            return None
        if not self._provider.can_find_again(attempt.ref) and await self._unheld(attempt):
            return None
        if attempt.cancel:
            await self._ask_to_stop(attempt, attempt.ref)
        try:
            status = await self._provider.poll(attempt.request, attempt.ref)
        except StatusUnavailable as silence:
            log.info("no_answer", attempt_id=attempt.id, error=str(silence))
            if self._giving_up.overdue(attempt):
                return await self._giving_up.end_overdue(attempt)
            return self._slower(attempt)
        match status:
            case InProgress() if self._giving_up.overdue(attempt):
                await self._ask_to_stop(attempt, attempt.ref)
                return await self._giving_up.end_overdue(attempt)
            case NotFound():
                return await self._giving_up.miss(attempt, status)
            case InProgress() if await self._unheld(attempt):
                return None
            case InProgress():
                attempt.not_found_since, attempt.not_found_count = None, 0
                await self._reports.progress(attempt, status)
                crash_point("while_polling")
                pause = self._slower(attempt)
                return pause if attempt.cancel else max(pause, jittered(self.min_poll_interval))
        crash_point("before_end")
        if isinstance(status, Completed):
            await self._reports.done(attempt, status)
        else:
            await self._reports.failed(attempt, status)
        return None

    async def _unheld(self, attempt: Attempt) -> bool:
        """See that the ledger knows the handle; whether it turns out that the attempt is another's."""
        return not attempt.saved and await self._save_handle(attempt) is None

    def _slower(self, attempt: Attempt) -> float:
        """The next poll, a little later than the last, with jitter."""
        slowest = self._pace.max_poll_interval
        if attempt.ref and self._hinting and self._hinting.is_streamed(attempt.ref):
            slowest = self._pace.max_poll_interval_streaming
        attempt.pause = next_interval(attempt.pause, self._pace.first_poll_interval, slowest)
        return jittered(attempt.pause)

    async def hinted(self, attempt: Attempt, percent: int) -> None:
        """The provider said by itself how far it is."""
        if attempt.state == "submitted" and percent > ((attempt.told and attempt.told.percent) or 0):
            await self._reports.progress(attempt, InProgress("running", percent))
