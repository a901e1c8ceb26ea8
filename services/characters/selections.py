"""The rules of a base image selection: it waits, for a limited time, until its image is ready. Pure.

A selection may name an image of a job that still runs, or that is not known yet. It is then kept as
pending. Timers publish `character.selection-due` for it, and each such message checks the image again.
A selection that cannot be fulfilled ends as a rejected sheet job, with the reason.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from contracts.base import CharacterId, Message, Model, Moment, Name
from contracts.chains import BaseImageSelected, SelectionDue
from contracts.characters import Character
from contracts.generation import GenerationRejected, Reason
from contracts.ids import RenderKey
from prompts.planner import request_hash
from services.characters.job_images import ImagesByJob, JobImages
from services.characters.policies import SelectionPolicy
from shared.errors import PermanentError
from shared.fold import Folded

MAX_PENDING = 20
"""Number of selections of one character that may wait at the same time."""
MAX_PAUSE_SHARE = 4
"""The pause between two checks is at most this part of the time waited so far."""


class UnknownBaseImage(PermanentError):
    """A selection names an image that does not exist and will not, or whose character nobody describes."""

    reason = "unknown_base_image"

    def __init__(self, selected: BaseImageSelected, why: str) -> None:
        super().__init__(f"base image {selected.base_image_id} of {selected.tenant}: {why}")
        self.why = why


class PendingSelection(Model):
    """A selection whose image is not ready."""

    selection: BaseImageSelected
    since: Moment
    wake_at: Moment
    """Time of the next check."""
    trace: str | None = None


class PendingSelections(Folded):
    """The `selections` document of a character (`_id` is `{tenant}/{character_id}`)."""

    tenant: Name
    character_id: CharacterId
    pending: tuple[PendingSelection, ...] = ()
    wake_at: Moment | None = None
    """Time of the earliest check; None while no selection is pending."""


Step = tuple[PendingSelections | None, Sequence[Message]]


def selected_character(
    message: BaseImageSelected | SelectionDue, jobs: ImagesByJob, policy: SelectionPolicy
) -> Character | None:
    """Return the character on the selected image, or None while the image may still become ready.

    Raises:
        UnknownBaseImage: if the image will not become ready, is too late, or shows an unknown character.
    """
    selected = message.selection if isinstance(message, SelectionDue) else message
    waited = message.due_at - message.since if isinstance(message, SelectionDue) else timedelta(0)
    image = RenderKey.parse(selected.base_image_id)
    job = jobs.get(image.job_id)
    if job is None or not _is_ready(selected, image, job):
        limit = policy.limit(job_is_known=job is not None or selected.job_accepted)
        if waited >= limit:
            missing = f"job {image.job_id} is not known" if job is None else f"{_name(image)} is not ready"
            raise UnknownBaseImage(selected, f"{missing} after {limit.total_seconds():g} s")
        return None
    if (character := selected.character or job.character) is None:
        raise UnknownBaseImage(
            selected, f"job {image.job_id} does not describe its character; send 'character' as well"
        )
    return character


def _is_ready(selected: BaseImageSelected, image: RenderKey, job: JobImages) -> bool:
    if job.tenant != selected.tenant:
        raise UnknownBaseImage(selected, f"job {image.job_id} does not exist")
    if image.index in job.ready:
        return True
    if job.planned is not None and image.index >= job.planned:
        raise UnknownBaseImage(selected, f"job {image.job_id} has {job.planned} images, counted from 0")
    if job.ended:
        raise UnknownBaseImage(selected, f"job {image.job_id} ended without image {image.index}")
    return False


def _name(image: RenderKey) -> str:
    return f"image {image.index} of job {image.job_id}"


def refusal(due: SelectionDue, jobs: ImagesByJob, policy: SelectionPolicy) -> str | None:
    """Return why a pending selection cannot be fulfilled, or None."""
    try:
        selected_character(due, jobs, policy)
    except UnknownBaseImage as error:
        return error.why
    return None


def advance(
    document: PendingSelections | None,
    message: BaseImageSelected | SelectionDue,
    *,
    at: datetime,
    trace: str | None,
    jobs: ImagesByJob,
    policy: SelectionPolicy,
) -> Step:
    """Keep a selection whose image is not ready, check it again, or end it. `at` is the record's time.

    Raises:
        UnknownBaseImage: if a new selection cannot be fulfilled, or too many are pending.
    """
    if isinstance(message, SelectionDue):
        return _checked(document, message, at, jobs, policy)
    if selected_character(message, jobs, policy) is not None:
        return document, ()
    pending = document.pending if document else ()
    if any(each.selection.chain_id == message.chain_id for each in pending):
        return document, ()
    if len(pending) >= MAX_PENDING:
        raise UnknownBaseImage(message, f"{MAX_PENDING} selections of this character wait already")
    new = PendingSelection(selection=message, since=at, wake_at=at, trace=trace)
    document = document or PendingSelections(tenant=message.tenant, character_id=message.character_id)
    return _with_pending(document, (*pending, new)), ()


def _checked(
    document: PendingSelections | None,
    due: SelectionDue,
    at: datetime,
    jobs: ImagesByJob,
    policy: SelectionPolicy,
) -> Step:
    """Apply a check. A selection that is not pending any more changes nothing."""
    pending = document.pending if document else ()
    known = next((each for each in pending if each.selection.chain_id == due.chain_id), None)
    if document is None or known is None:
        return document, ()
    others = [each for each in pending if each is not known]
    if why := refusal(due, jobs, policy):
        return _with_pending(document, others), (_rejection(due, why),)
    if selected_character(due, jobs, policy) is not None:
        return _with_pending(document, others), ()
    later = PendingSelection(
        selection=known.selection,
        since=known.since,
        wake_at=max(due.due_at, at) + _pause(due, policy),
        trace=known.trace,
    )
    return _with_pending(document, (*others, later)), ()


def _with_pending(document: PendingSelections, pending: Iterable[PendingSelection]) -> PendingSelections:
    pending = tuple(pending)
    wake_at = min((each.wake_at for each in pending), default=None)
    return document.model_copy(update={"pending": pending, "wake_at": wake_at})


def _pause(due: SelectionDue, policy: SelectionPolicy) -> timedelta:
    shortest, longest = (
        timedelta(seconds=seconds) for seconds in (policy.min_check_seconds, policy.max_check_seconds)
    )
    return max(shortest, min(longest, (due.due_at - due.since) / MAX_PAUSE_SHARE))


def _rejection(due: SelectionDue, why: str) -> GenerationRejected:
    """Return the end of the sheet job that the selection stands for."""
    sheet = due.selection.sheet
    return GenerationRejected(
        job_id=sheet.job_id,
        tenant=sheet.tenant,
        user_id=sheet.user_id,
        type="character_sheet",
        request_hash=request_hash(sheet),
        requested_at=due.selection.selected_at or due.since,
        notify=sheet.notify,
        chain_id=sheet.chain_id,
        character_id=sheet.character_id,
        reasons=(Reason(field="base_image_id", message=why),),
    )


def due_messages(document: PendingSelections) -> list[tuple[SelectionDue, str | None]]:
    """Return a check, with the trace to continue, for each selection whose time has come first."""
    return [
        (
            SelectionDue(
                character_id=document.character_id,
                tenant=document.tenant,
                chain_id=pending.selection.chain_id,
                selection=pending.selection,
                since=pending.since,
                due_at=pending.wake_at,
            ),
            pending.trace,
        )
        for pending in document.pending
        if pending.wake_at == document.wake_at
    ]
