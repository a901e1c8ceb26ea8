"""Carry out the decisions of `lifecycle`: lease, ledger, provider calls, messages.

A step begins when an attempt is due. Each observation is given to `advance` and its actions are carried
out, until an action ends the step.
"""

from dataclasses import replace

import structlog

from services.gateways.kit.crash_points import crash_point
from services.gateways.kit.provider import InProgress, Provider, StatusUnavailable, StreamsProgress
from services.gateways.runtime.ledger.writes import Ledger
from services.gateways.runtime.lifecycle.advance import advance
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.lifecycle.decisions import (
    Action,
    End,
    Poll,
    Prepare,
    PublishProgress,
    PublishSuccess,
    RecordUnknown,
    Release,
    RequestCancel,
    Requeue,
    Reraise,
    Resolve,
    SaveRef,
    Send,
    Wait,
    WriteIntent,
)
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from services.gateways.runtime.lifecycle.observations import (
    Due,
    EndWritten,
    IntentWritten,
    Observation,
    OwnershipLost,
    Polled,
    Prepared,
    SuccessPublished,
)
from services.gateways.runtime.provider_calls import (
    SubmissionCall,
    as_accepted,
    look_up,
    poll,
    request_cancel,
)
from services.gateways.runtime.publication import AttemptPublisher
from services.gateways.runtime.scheduling.submission_gate import SubmissionGate
from shared.clock import now
from shared.kafka.publisher import Publisher
from shared.mongo.leases import Lease

log = structlog.get_logger()


class Executor:
    """Takes the steps of this process's attempts."""

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
        self._ledger = ledger
        self._lease = lease
        self._publisher = AttemptPublisher(ledger, publisher)
        self._gate = gate or SubmissionGate()
        self.limits = limits

    async def step(self, attempt: Attempt) -> Wait | Release:
        """Take the next step of an attempt."""
        if attempt.owner != self._lease.owner:
            return Release()  # its lease expired: the successor continues, which may be this process
        submission = SubmissionCall(self._provider, self._gate)
        observation: Observation = self._due(attempt)
        try:
            while True:
                decision = advance(attempt, observation, self._limits_of(attempt), now())
                attempt.facts = decision.facts
                result = await self._carry_out(decision.actions, attempt, submission)
                if isinstance(result, Wait | Release):
                    return result
                observation = result
        finally:
            await submission.close()

    def _due(self, attempt: Attempt) -> Due:
        """Return the observation that begins a step. Only a submission asks the gate, which may probe."""
        if attempt.state != "accepted":
            return Due()
        return Due(self._gate.wait(), self._gate.is_open, self._gate.breaker.reason)

    async def publish_progress(self, attempt: Attempt, percent: int) -> None:
        """Publish progress that the provider reported by itself."""
        last = attempt.last_progress
        if attempt.state == "submitted" and percent > ((last and last.percent) or 0):
            await self._publisher.progress(attempt, InProgress("running", percent))

    def set_min_poll_interval(self, seconds: float) -> None:
        """Poll a submission that is in progress no more often than this."""
        self.limits = replace(self.limits, min_poll_interval=seconds)

    def _limits_of(self, attempt: Attempt) -> ProviderLimits:
        """Return the limits, with rare polls for a submission whose end would be streamed."""
        if not isinstance(self._provider, StreamsProgress):
            return self.limits
        if attempt.ref is None or not self._provider.is_streamed(attempt.ref):
            return self.limits
        return replace(self.limits, max_poll_interval=self.limits.max_poll_interval_streaming)

    def _lease_remaining(self, attempt: Attempt) -> float:
        return self._lease.remaining if attempt.owner == self._lease.owner else 0.0

    async def _carry_out(
        self, actions: tuple[Action, ...], attempt: Attempt, submission: SubmissionCall
    ) -> Observation | Wait | Release:
        for action in actions:
            result = await self._do(action, attempt, submission)
            if result is not None:
                return result
        raise AssertionError(f"no action ends the step: {actions}")

    async def _do(
        self, action: Action, attempt: Attempt, submission: SubmissionCall
    ) -> Observation | Wait | Release | None:
        """Carry out one action; return None if the next one follows."""
        match action:
            case Wait() | Release():
                return action
            case Reraise(error):
                raise error
            case Prepare():
                refusal = await submission.prepare(attempt.request)
                return refusal or Prepared(self._lease_remaining(attempt))
            case Send():
                return await submission.send(attempt.request)
            case Resolve():
                if known := attempt.ref or await self._ledger.ref_of(attempt.id):
                    return as_accepted(self._provider, known)
                return await look_up(self._provider, attempt.request)
            case Poll() | RequestCancel():
                return await self._ask(action, attempt)
            case WriteIntent() | SaveRef() | Requeue() | RecordUnknown():
                return await self._write(action, attempt)
            case PublishProgress() | PublishSuccess() | End():
                return await self._publish(action, attempt)

    async def _ask(self, action: Poll | RequestCancel, attempt: Attempt) -> Observation | None:
        assert attempt.ref is not None, "a submitted attempt has a ref"
        if isinstance(action, RequestCancel):
            await request_cancel(self._provider, attempt.request, attempt.ref)
            return None
        status = await poll(self._provider, attempt.request, attempt.ref)
        if isinstance(status, StatusUnavailable):
            return status
        return Polled(status, self._lease_remaining(attempt))

    async def _write(
        self, action: WriteIntent | SaveRef | Requeue | RecordUnknown, attempt: Attempt
    ) -> Observation | None:
        """Write to the ledger. A write whose guard failed ends the step: another process is the owner."""
        match action:
            case WriteIntent():
                kept = await self._ledger.write_intent(attempt)
                return IntentWritten(self._lease_remaining(attempt)) if kept else OwnershipLost()
            case SaveRef():
                assert attempt.ref is not None, "there is a ref to save"
                kept = await self._ledger.save_ref(attempt, attempt.ref)
                attempt.saved_ref = attempt.ref
                crash_point("after_ref_saved")
            case Requeue(withdraw_intent):
                kept = await self._ledger.requeue(attempt, withdraw_intent=withdraw_intent)
            case RecordUnknown():
                kept = await self._ledger.record_unknown(attempt)
        return None if kept else OwnershipLost()

    async def _publish(
        self, action: PublishProgress | PublishSuccess | End, attempt: Attempt
    ) -> Observation | None:
        match action:
            case PublishProgress(status):
                await self._publisher.progress(attempt, status)
                crash_point("while_polling")
                return None
            case PublishSuccess(completed, message):
                acknowledged = await self._publisher.try_publish(attempt, message)
                crash_point("after_publish")
                return SuccessPublished(completed, message, acknowledged)
            case End(state):
                kept = await self._publisher.end(attempt, action)
                log.info("attempt_ended", attempt_id=attempt.id, state=state, error=action.error, kept=kept)
                return EndWritten(state)
