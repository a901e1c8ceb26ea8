"""The rules of a chain: (chain, message) → (chain, outputs). Pure.

Facts are recorded here, message by message; `chain_progress.py` derives the next steps from them. No
rule depends on the order of messages: events of a chain's jobs, a cancel or a resume may arrive before
the request that starts the chain.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from contracts.base import Message
from contracts.chains import ChainCancel, ChainImage, ChainResume, ChainStep, ChainTry
from contracts.generation import GenerationConflicted, GenerationRequested
from contracts.ids import RenderKey
from contracts.jobs import JobError, JobEvent
from services.characters.chain_progress import ChainRecord, ChainTransition, progress
from services.characters.changes import TryChanges, with_try
from services.characters.policies import Policies
from shared.errors import PermanentError

JobOutcome = JobEvent | GenerationConflicted
ChainMessage = GenerationRequested | JobOutcome | ChainCancel | ChainResume
StepResult = tuple[ChainRecord | None, Sequence[Message]]

MAX_EARLY = 16
"""Number of jobs that are remembered of a chain before its request; all but its first are foreign to it."""

EndState = Literal["cancelled", "failed", "completed"]
PRECEDENCE = ("running", "cancelled", "failed", "completed")
"""Of two states that are reported of a job, the later one in this order holds."""


class ChainIdConflict(PermanentError):
    """Another chain already has this id."""

    reason = "chain_id_conflict"

    def __init__(self, chain_id: str | None) -> None:
        super().__init__(
            f"chain {chain_id} exists with another tenant or another request; use a new chain_id"
        )


def advance(
    chain: ChainRecord | None, message: ChainMessage, *, at: datetime, policies: Policies
) -> StepResult:
    """Apply one message to a chain. `at` is the record's time.

    Raises:
        ChainIdConflict: if a request starts a chain whose id another one has.
    """
    match message:
        case GenerationRequested():
            return _begin(chain, message, at, policies)
        case JobEvent() | GenerationConflicted():
            return _job_reported(chain, message, at, policies)
        case ChainCancel() | ChainResume():
            return _command(chain, message, at, policies)


def _begin(
    chain: ChainRecord | None, requested: GenerationRequested, at: datetime, policies: Policies
) -> StepResult:
    if chain is not None and chain.request is not None:
        if not _is_the_same(chain, requested):
            raise ChainIdConflict(requested.chain)
        return chain, ()
    if chain is None or chain.tenant != requested.tenant:
        chain = _new(requested.chain or requested.job_id, requested.tenant, at)
    reported = (each for each in chain.early if each.job_id == requested.job_id)
    first = next(reported, ChainTry(job_id=requested.job_id))
    first = with_try(first, poses=tuple(sorted(getattr(requested.request, "only", ()))))
    follow_ups = (ChainStep(type=each.type, follow_up=each) for each in requested.then)
    step = ChainTransition(chain, at, policies)
    step.set(
        user_id=requested.user_id,
        character_id=requested.character_id,
        request=requested.request,
        notify=requested.notify,
        early=(),
        steps=(ChainStep(type=requested.request.type, tries=(first,)), *follow_ups),
    )
    progress(step)
    return step.chain, step.outputs


def _is_the_same(chain: ChainRecord, requested: GenerationRequested) -> bool:
    first, *others = chain.steps
    known = (chain.tenant, chain.user_id, first.tries[0].job_id, chain.request)
    new = (requested.tenant, requested.user_id, requested.job_id, requested.request)
    return known == new and [step.follow_up for step in others] == list(requested.then)


def _job_reported(
    chain: ChainRecord | None, event: JobOutcome, at: datetime, policies: Policies
) -> StepResult:
    """Apply an event of a job. Jobs that are no try of this chain change nothing."""
    step = ChainTransition(chain or _new(event.chain_id or event.job_id, event.tenant, at), at, policies)
    if step.chain.tenant != event.tenant:
        return chain, ()
    if step.chain.request is None:
        _keep_early(step, event)
    for place, each in enumerate(step.chain.steps):
        for n, known in enumerate(each.tries):
            if known.job_id == event.job_id:
                step.set_try(place, n, **_changes(known, event))
    if not step.changed:
        return chain, ()
    progress(step)
    return step.chain, step.outputs


def _keep_early(step: ChainTransition, event: JobOutcome) -> None:
    early = {each.job_id: each for each in step.chain.early}
    known = early.get(event.job_id) or ChainTry(job_id=event.job_id)
    if event.job_id in early or len(early) < MAX_EARLY:
        early[event.job_id] = with_try(known, **_changes(known, event))
        step.set(early=tuple(early.values()))


def _changes(known: ChainTry, event: JobOutcome) -> TryChanges:
    """Return the changes that an event makes to a try. A presumed end gives way to a reported one."""
    if isinstance(event, GenerationConflicted):
        return _end(known, "failed", JobError(code="job_id_conflict", message=event.reason), event.at)
    error = event.error
    match event.event:
        case "image_ready" if event.image and event.image.stored:
            image = event.image
            if image.index in {each.index for each in known.images}:
                return {}
            asset = str(RenderKey(event.job_id, image.index))
            ready = ChainImage(index=image.index, asset=asset, label=image.label, caption=image.caption)
            images = sorted((*known.images, ready), key=lambda each: each.index)
            return {"images": tuple(images)}
        case "completed":
            return _end(known, "completed", error, event.at)
        case "failed":
            cancelled = error is not None and error.code == "cancelled"
            return _end(known, "cancelled" if cancelled else "failed", error, event.at)
    return {}


def _end(known: ChainTry, state: EndState, error: JobError | None, at: datetime) -> TryChanges:
    if PRECEDENCE.index(state) <= PRECEDENCE.index(known.state):
        return {}
    return {"state": state, "error": error, "ended_at": at}


def _command(
    chain: ChainRecord | None, command: ChainCancel | ChainResume, at: datetime, policies: Policies
) -> StepResult:
    """Apply a command. One that is older than the newest, or another tenant's, changes nothing."""
    step = ChainTransition(chain or _new(command.chain_id, command.tenant, at), at, policies)
    known = [time for time in (step.chain.cancelled_at, step.chain.resumed_at) if time]
    requested_at = min(command.requested_at or at, at)
    if step.chain.tenant != command.tenant or any(requested_at <= time for time in known):
        return chain, ()
    if isinstance(command, ChainCancel):
        step.set(cancelled_at=requested_at, cancel_reason=command.reason)
        progress(step)
    else:
        step.set(resumed_at=requested_at)
        progress(step, resumed=True)
    return step.chain, step.outputs


def _new(chain_id: str, tenant: str, at: datetime) -> ChainRecord:
    return ChainRecord(chain_id=chain_id, tenant=tenant, created_at=at, updated_at=at)
