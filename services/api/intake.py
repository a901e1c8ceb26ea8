"""A submission, a selection, a creation or a wish → a document that owes its message"""

import asyncio

from contracts.base import Message, topic_of
from contracts.chains import ChainCancel, ChainResume
from contracts.characters import Character
from contracts.generation import GenerationCancel, GenerationRequested
from contracts.http import AnySubmission, FieldError
from contracts.http_chains import BaseImageSelection, CharacterCreation
from contracts.requests import BaseImageRequest
from prompts.catalogue import Catalogue
from prompts.planner import admission_reasons
from services.api.domain import (
    Accepted,
    Caller,
    Conflict,
    accept,
    accept_creation,
    accept_selection,
    as_written,
    is_same_person,
    repeated,
    set_by_the_service,
    unstorable,
)
from services.api.known_characters import KnownCharacters
from services.api.known_images import KnownImages
from services.api.ports import Jobs, Stories, Submissions, Wishes
from shared.clock import Clock
from shared.http.bodies import is_large_request, offload
from shared.http.problems import Refusal
from shared.ids import uuid7
from shared.outbox import Outbox, OutboxEntry, PendingEntry, outbox_entry

SOURCE = "api"


class Intake:
    """Takes requests durably, whether or not Kafka is there."""

    def __init__(
        self,
        jobs: Jobs,
        stories: Stories,
        submissions: Submissions,
        wishes: Wishes,
        outboxes: tuple[Outbox, Outbox],
        now: Clock,
        catalogue: Catalogue,
    ) -> None:
        self._jobs = jobs
        self._submissions = submissions
        self._characters = KnownCharacters(stories, submissions)
        self._images = KnownImages(jobs, submissions)
        self._catalogue = catalogue
        self._wishes = wishes
        self._submitted, self._wished = outboxes
        self._now = now

    async def submit(
        self, submission: AnySubmission, caller: Caller, key: str | None, trace: str | None
    ) -> tuple[Accepted, bool]:
        """Accept a request, or find the one that it repeats; says whether it is new.

        Raises:
            Refusal: 409 when the key or the job id stands for another request; 422 with the reasons
                for which the request would be rejected.
        """
        _refuse(await offload(unstorable, submission))
        job_id = submission.job_id or uuid7()
        new, message = await offload(accept, submission, caller, key=key, job_id=job_id, now=self._now())
        named = getattr(message.request, "character_id", None)
        known = await self._characters.find(caller.tenant, named) if named else None
        errors = await self._reasons_against(message, known.character if known else None)
        errors += await self._images.faults(submission, caller.tenant)
        if errors and not await self._submissions.known(new):
            _refuse(errors)
        if known and known.accepted:
            awaited = {"character_accepted": True, "awaited_choice": known.accepted.chain_id}
            message = message.model_copy(update=awaited)
        return await self._keep(new, submission.job_id, message, trace)

    async def select(
        self,
        character_id: str,
        selection: BaseImageSelection,
        caller: Caller,
        key: str | None,
        trace: str | None,
    ) -> tuple[Accepted, bool]:
        """Accept the choice of a face as the sheet that it asks for; else as `submit`.

        Raises:
            Refusal: 409; 422 for an image that is not there, or of which nobody says who is on it.
        """
        _refuse(await offload(unstorable, selection))
        job, errors = await self._images.chosen_from(selection, caller)
        _refuse(errors)
        drawn = job.character if job else None
        new, message = await offload(
            accept_selection, character_id, selection, drawn, caller, key=key, now=self._now()
        )
        errors = await self._reasons_against(message.sheet, new.character)
        if errors and not await self._submissions.known(new):
            _refuse(errors)
        return await self._keep(new, None, message, trace)

    async def create(
        self, creation: CharacterCreation, caller: Caller, key: str | None, trace: str | None
    ) -> str:
        """Accept a new character, or find the one that is created again; return its id.

        Raises:
            Refusal: 409 when the key or the id stands for another character; 422.
        """
        _refuse(_as_sent(creation, set_by_the_service(creation.character, creation.id)))
        character_id = creation.id or uuid7()
        new, message = await offload(
            accept_creation, character_id, creation, caller, key=key, now=self._now()
        )
        if not await self._submissions.known(new):
            await self._refuse_another_person(new, creation)
        accepted, _ = await self._keep(new, None, message, trace)
        return accepted.character_id or character_id

    async def _refuse_another_person(self, new: Accepted, creation: CharacterCreation) -> None:
        """A character may have been stored another way, by the choice of a face."""
        asked = BaseImageRequest(character=creation.character)
        drawn = GenerationRequested(job_id=new.job_id, tenant=new.tenant, user_id=new.user_id, request=asked)
        errors = await self._reasons_against(drawn, None)
        _refuse(_as_sent(creation, errors + await self._images.faults(creation, new.tenant)))
        known = await self._characters.find(new.tenant, creation.id) if creation.id else None
        if known is not None and not is_same_person(known.character, creation.character):
            raise Refusal(409, "this character id already stands for another character; use a new one")

    async def _reasons_against(
        self, requested: GenerationRequested, character: Character | None
    ) -> tuple[FieldError, ...]:
        """Judge a request as the prompt-builder will. It takes milliseconds, so a thread does it."""
        in_thread = offload if is_large_request() else asyncio.to_thread
        reasons = await in_thread(admission_reasons, requested, character, self._catalogue)
        return tuple(map(as_written, reasons))

    async def cancel(self, job_id: str, caller: Caller, trace: str | None) -> None:
        """Ask for the end of a job."""
        await self._wish(job_id, caller, GenerationCancel(job_id=job_id, tenant=caller.tenant), trace)

    async def cancel_chain(self, chain_id: str, caller: Caller, trace: str | None) -> None:
        """Ask for the end of a chain."""
        cancel = ChainCancel(chain_id=chain_id, tenant=caller.tenant, requested_at=self._now())
        await self._wish(chain_id, caller, cancel, trace)

    async def resume_chain(self, chain_id: str, caller: Caller, trace: str | None) -> None:
        """Ask a chain to go on."""
        resume = ChainResume(chain_id=chain_id, tenant=caller.tenant, requested_at=self._now())
        await self._wish(chain_id, caller, resume, trace)

    async def _keep(
        self, new: Accepted, asked_id: str | None, message: Message, trace: str | None
    ) -> tuple[Accepted, bool]:
        outbox = await offload(self._outbox_entry, message, trace)
        try:
            if asked_id is not None:
                await self._refuse_jobs_that_came_another_way(asked_id)
            if not await self._submissions.add(new, outbox):
                return repeated(new, asked_id, await self._submissions.known(new)), False
        except Conflict as conflict:
            raise Refusal(409, str(conflict)) from None
        await self._submitted.try_publish(
            PendingEntry(id=new.job_id, entry=OutboxEntry.model_validate(outbox))
        )
        return new, True

    async def _wish(self, about: str, caller: Caller, message: Message, trace: str | None) -> None:
        """One of a kind about a thing is kept: the newest."""
        outbox, wish_id = self._outbox_entry(message, trace), f"{topic_of(message)}/{about}"
        await self._wishes.add(wish_id, caller.tenant, outbox)
        await self._wished.try_publish(PendingEntry(id=wish_id, entry=OutboxEntry.model_validate(outbox)))

    async def _refuse_jobs_that_came_another_way(self, job_id: str) -> None:
        if await self._jobs.existing([job_id]) and await self._submissions.get(job_id) is None:
            raise Conflict("this job_id already stands for another request; use a new one")

    def _outbox_entry(self, message: Message, trace: str | None) -> dict[str, object]:
        return outbox_entry(message, source=SOURCE, trace=trace, at=self._now())


def _as_sent(creation: CharacterCreation, errors: tuple[FieldError, ...]) -> tuple[FieldError, ...]:
    """Name the fields as the caller wrote them: the wizard's answers have several forms."""
    return tuple(FieldError(field=creation.sent_as(each.field), message=each.message) for each in errors)


def _refuse(errors: tuple[FieldError, ...]) -> None:
    if errors:
        raise Refusal(422, "; ".join(f"{error.field}: {error.message}" for error in errors), errors)
