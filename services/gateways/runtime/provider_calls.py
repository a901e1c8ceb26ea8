"""Calls to the provider, with their answers as observations of the attempt."""

from typing import Literal, TypeVar

import structlog

from services.gateways.kit.crash_points import crash_point
from services.gateways.kit.provider import (
    LOCKED_OUT,
    AttemptRequest,
    AttemptStatus,
    Completed,
    Failed,
    Lookup,
    NotAccepted,
    NotFound,
    OutcomeUnknown,
    Payload,
    Provider,
    Rejected,
    StatusUnavailable,
    SubmissionRef,
)
from services.gateways.runtime.lifecycle.observations import (
    Accepted,
    LookupNotFound,
    LookupUnsupported,
    UnexpectedError,
)
from services.gateways.runtime.scheduling.submission_gate import SubmissionGate
from shared.transient import is_transient

log = structlog.get_logger()

F = TypeVar("F", Rejected, NotAccepted, OutcomeUnknown)


def as_accepted(provider: Provider, ref: SubmissionRef) -> Accepted:
    """Return the observation that the provider has a submission."""
    return Accepted(ref, isinstance(provider, Lookup) and provider.is_recoverable(ref))


class SubmissionCall:
    """The submission of one step. The gate learns its outcome, also if nothing was sent."""

    def __init__(self, provider: Provider, gate: SubmissionGate) -> None:
        self._provider = provider
        self._gate = gate
        self._payload: Payload = {}
        self._admission: Literal["none", "open", "answered"] = "none"

    async def prepare(self, request: AttemptRequest) -> Rejected | NotAccepted | UnexpectedError | None:
        """Make the request body; return None if it is ready. A transient error is raised."""
        self._admission = "open"
        await self._gate.begin()
        try:
            self._payload = await self._provider.prepare(request)
        except (Rejected, NotAccepted) as refusal:
            return refusal
        except Exception as error:
            if is_transient(error):
                raise
            return UnexpectedError(error)
        crash_point("before_intent")
        return None

    async def send(self, request: AttemptRequest) -> Accepted | Rejected | NotAccepted | OutcomeUnknown:
        """Submit, once. An unexpected error is raised and counts as an unknown outcome."""
        crash_point("after_intent")
        try:
            ref = await self._provider.submit(request, self._payload)
        except Rejected as rejection:
            if rejection.code in LOCKED_OUT:
                return await self._failed(rejection)
            self._admission = "answered"
            return rejection
        except NotAccepted as refusal:
            return await self._failed(refusal)
        except OutcomeUnknown as unknown:
            log.warning("submit_outcome_unknown", attempt_id=request.attempt_id, error=str(unknown))
            return await self._failed(unknown)
        crash_point("after_answer")
        self._admission = "answered"
        return as_accepted(self._provider, ref)

    async def _failed(self, failure: F) -> F:
        self._admission = "none"
        await self._gate.failed(str(failure))
        return failure

    async def close(self) -> None:
        """Report the outcome to the gate."""
        if self._admission == "open":
            self._gate.abandoned()
        if self._admission == "answered":
            await self._gate.answered()


async def look_up(
    provider: Provider, request: AttemptRequest
) -> Accepted | LookupNotFound | LookupUnsupported | StatusUnavailable:
    """Ask the provider whether it has the submission of this request."""
    if not isinstance(provider, Lookup):
        return LookupUnsupported()
    try:
        ref = await provider.find(request)
    except StatusUnavailable as unavailable:
        return unavailable
    if ref is None:
        return LookupNotFound()
    log.info("submission_found", attempt_id=request.attempt_id, external_id=ref["id"])
    crash_point("after_lookup")
    return as_accepted(provider, ref)


async def poll(
    provider: Provider, request: AttemptRequest, ref: SubmissionRef
) -> AttemptStatus | StatusUnavailable:
    """Ask the provider for the status of a submission."""
    try:
        status = await provider.poll(request, ref)
    except StatusUnavailable as unavailable:
        log.info("poll_unanswered", attempt_id=request.attempt_id, error=str(unavailable))
        return unavailable
    if isinstance(status, NotFound):
        log.info("submission_not_found_at_provider", attempt_id=request.attempt_id, error=status.message)
    if isinstance(status, Completed | Failed):
        crash_point("before_end")
    return status


async def request_cancel(provider: Provider, request: AttemptRequest, ref: SubmissionRef) -> None:
    """Ask the provider to stop a submission; an unanswered request is repeated with the next poll."""
    try:
        await provider.cancel(request, ref)
    except StatusUnavailable as unavailable:
        log.info("cancel_unanswered", attempt_id=request.attempt_id, error=str(unavailable))
