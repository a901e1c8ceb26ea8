"""The rules of a chain: (chain, message) → (chain, what to say). No clock, no client.

What happened is written down here, message by message; what follows from it is in `going_on.py`.
Nothing here depends on the order of messages: a chain may hear of its jobs, of a cancel or of a
resumption before it hears of the request that begins it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from contracts.base import Message
from contracts.chains import ChainCancel, ChainImage, ChainResume, ChainStep, ChainTry
from contracts.generation import GenerationConflicted, GenerationRequested
from contracts.ids import RenderKey
from contracts.jobs import JobError, JobEvent
from services.characters.chain_progress import ChainRecord, ChainStory, go_on
from services.characters.policies import Policies
from shared.errors import PermanentError

JobNews = JobEvent | GenerationConflicted
ChainMessage = GenerationRequested | JobNews | ChainCancel | ChainResume
Step = tuple[ChainRecord | None, Sequence[Message]]

EARLY = 16
"""So many jobs of a chain that has not begun yet are remembered; all but its first are foreign to it."""

ENDS = ("running", "cancelled", "failed", "completed")
"""Of two things that are told of a job, the later one here holds."""


class ChainIdConflict(PermanentError):
    """Another chain already has this id."""

    reason = "chain_id_conflict"

    def __init__(self, chain_id: str | None) -> None:
        super().__init__(
            f"chain {chain_id} exists with another tenant or another request; use a new chain_id"
        )


def advance(chain: ChainRecord | None, message: ChainMessage, *, at: datetime, policies: Policies) -> Step:
    """Apply one message to a chain. `at` is the message's time in the log.

    Raises:
        ChainIdConflict: when a request begins a chain whose id another one has.
    """
    match message:
        case GenerationRequested():
            return _begin(chain, message, at, policies)
        case JobEvent() | GenerationConflicted():
            return _hear(chain, message, at, policies)
        case ChainCancel() | ChainResume():
            return _command(chain, message, at, policies)


def _begin(
    chain: ChainRecord | None, requested: GenerationRequested, at: datetime, policies: Policies
) -> Step:
    if chain is not None and chain.request is not None:
        if not _is_the_same(chain, requested):
            raise ChainIdConflict(requested.chain)
        return chain, ()
    if chain is None or chain.tenant != requested.tenant:
        chain = _new(requested.chain or requested.job_id, requested.tenant, at)
    heard_of = (each for each in chain.early if each.job_id == requested.job_id)
    first = next(heard_of, ChainTry(job_id=requested.job_id))
    first = first.model_copy(update={"poses": tuple(sorted(getattr(requested.request, "only", ())))})
    follow_ups = (ChainStep(type=each.type, follow_up=each) for each in requested.then)
    story = ChainStory(chain, at, policies)
    story.set(
        user_id=requested.user_id,
        character_id=requested.character_id,
        request=requested.request,
        notify=requested.notify,
        early=(),
        steps=(ChainStep(type=requested.request.type, tries=(first,)), *follow_ups),
    )
    go_on(story)
    return story.chain, story.said


def _is_the_same(chain: ChainRecord, requested: GenerationRequested) -> bool:
    first, *others = chain.steps
    known = (chain.tenant, chain.user_id, first.tries[0].job_id, chain.request)
    asked = (requested.tenant, requested.user_id, requested.job_id, requested.request)
    return known == asked and [step.follow_up for step in others] == list(requested.then)


def _hear(chain: ChainRecord | None, event: JobNews, at: datetime, policies: Policies) -> Step:
    """What became of a job. Jobs that are no try of this chain's steps change nothing."""
    story = ChainStory(chain or _new(event.chain_id or event.job_id, event.tenant, at), at, policies)
    if story.chain.tenant != event.tenant:
        return chain, ()
    if story.chain.request is None:
        _hear_early(story, event)
    for place, step in enumerate(story.chain.steps):
        for n, known in enumerate(step.tries):
            if known.job_id == event.job_id:
                story.set_try(place, n, **_news(known, event))
    if not story.changed:
        return chain, ()
    go_on(story)
    return story.chain, story.said


def _hear_early(story: ChainStory, event: JobNews) -> None:
    early = {each.job_id: each for each in story.chain.early}
    known = early.get(event.job_id) or ChainTry(job_id=event.job_id)
    if event.job_id in early or len(early) < EARLY:
        early[event.job_id] = known.model_copy(update=_news(known, event))
        story.set(early=tuple(early.values()))


def _news(known: ChainTry, event: JobNews) -> dict[str, Any]:
    """What a job's event changes of a try. An end that was presumed gives way to the one that is told."""
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
            state = "cancelled" if error and error.code == "cancelled" else "failed"
            return _end(known, state, error, event.at)
    return {}


def _end(known: ChainTry, state: str, error: JobError | None, at: datetime) -> dict[str, Any]:
    if ENDS.index(state) <= ENDS.index(known.state):
        return {}
    return {"state": state, "error": error, "ended_at": at}


def _command(
    chain: ChainRecord | None, command: ChainCancel | ChainResume, at: datetime, policies: Policies
) -> Step:
    """A command that is older than the newest one, or another tenant's, changes nothing."""
    story = ChainStory(chain or _new(command.chain_id, command.tenant, at), at, policies)
    known = [time for time in (story.chain.cancelled_at, story.chain.resumed_at) if time]
    asked_at = min(command.requested_at or at, at)
    if story.chain.tenant != command.tenant or any(asked_at <= time for time in known):
        return chain, ()
    if isinstance(command, ChainCancel):
        story.set(cancelled_at=asked_at, cancel_reason=command.reason)
        go_on(story)
    else:
        story.set(resumed_at=asked_at)
        go_on(story, resumed=True)
    return story.chain, story.said


def _new(chain_id: str, tenant: str, at: datetime) -> ChainRecord:
    return ChainRecord(chain_id=chain_id, tenant=tenant, created_at=at, updated_at=at)
