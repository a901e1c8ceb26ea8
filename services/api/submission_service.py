"""Submissions, selections, creations and commands → documents with an outbox entry."""

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
    earlier_submission,
    field_error_of,
    is_same_person,
    read_only_field_errors,
    storage_errors,
)
from services.api.known_characters import KnownCharacters
from services.api.known_images import KnownImages
from services.api.ports import ChainStore, Commands, Jobs, Submissions
from shared.clock import Clock
from shared.http.bodies import is_large_request, offload
from shared.http.problems import Refusal
from shared.ids import uuid7
from shared.outbox import Outbox, OutboxEntry, PendingEntry, outbox_entry

SOURCE = "api"


class SubmissionService:
    """Accepts requests durably, also while Kafka is unavailable."""

    def __init__(
        self,
        jobs: Jobs,
        chains: ChainStore,
        submissions: Submissions,
        commands: Commands,
        outboxes: tuple[Outbox, Outbox],
        now: Clock,
        catalogue: Catalogue,
    ) -> None:
        self._jobs = jobs
        self._submissions = submissions
        self._characters = KnownCharacters(chains, submissions)
        self._images = KnownImages(jobs, submissions)
        self._catalogue = catalogue
        self._commands = commands
        self._submission_outbox, self._command_outbox = outboxes
        self._now = now

    async def submit(
        self, submission: AnySubmission, caller: Caller, key: str | None, trace: str | None
    ) -> tuple[Accepted, bool]:
        """Accept a request, or find the one that it repeats; return it and whether it is new.

        Raises:
            Refusal: 409 when the key or the job id belongs to a different request; 422 with the reasons
                for which the request would be rejected.
        """
        _refuse(await offload(storage_errors, submission))
        job_id = submission.job_id or uuid7()
        new, message = await offload(accept, submission, caller, key=key, job_id=job_id, now=self._now())
        character_id = getattr(message.request, "character_id", None)
        known = await self._characters.find(caller.tenant, character_id) if character_id else None
        errors = await self._rejection_reasons(message, known.character if known else None)
        errors += await self._images.errors(submission, caller.tenant)
        if errors and not await self._submissions.known(new):
            _refuse(errors)
        if known and known.accepted:
            awaited = {"character_accepted": True, "awaited_choice": known.accepted.chain_id}
            message = message.model_copy(update=awaited)
        return await self._store(new, submission.job_id, message, trace)

    async def select(
        self,
        character_id: str,
        selection: BaseImageSelection,
        caller: Caller,
        key: str | None,
        trace: str | None,
    ) -> tuple[Accepted, bool]:
        """Accept the choice of a face as the sheet that it requests; otherwise like `submit`.

        Raises:
            Refusal: 409; 422 for an image that does not exist or shows no described character.
        """
        _refuse(await offload(storage_errors, selection))
        drawn, errors = await self._images.chosen_from(selection, caller)
        _refuse(errors)
        new, message = await offload(
            accept_selection, character_id, selection, drawn, caller, key=key, now=self._now()
        )
        errors = await self._rejection_reasons(message.sheet, new.character) if new.character else ()
        if errors and not await self._submissions.known(new):
            _refuse(errors)
        return await self._store(new, None, message, trace)

    async def create(
        self, creation: CharacterCreation, caller: Caller, key: str | None, trace: str | None
    ) -> str:
        """Accept a new character, or find the one that is created again; return its id.

        Raises:
            Refusal: 409 when the key or the id belongs to a different character; 422.
        """
        _refuse(_as_sent(creation, read_only_field_errors(creation.character, creation.id)))
        character_id = creation.id or uuid7()
        new, message = await offload(
            accept_creation, character_id, creation, caller, key=key, now=self._now()
        )
        if not await self._submissions.known(new):
            await self._refuse_another_person(new, creation)
        accepted, _ = await self._store(new, None, message, trace)
        return accepted.character_id or character_id

    async def _refuse_another_person(self, new: Accepted, creation: CharacterCreation) -> None:
        """Check the character, which may have been stored by the choice of a face."""
        asked = BaseImageRequest(character=creation.character)
        drawn = GenerationRequested(job_id=new.job_id, tenant=new.tenant, user_id=new.user_id, request=asked)
        errors = await self._rejection_reasons(drawn, None)
        _refuse(_as_sent(creation, errors + await self._images.errors(creation, new.tenant)))
        known = await self._characters.find(new.tenant, creation.id) if creation.id else None
        if known is not None and not is_same_person(known.character, creation.character):
            raise Refusal(409, "character id already belongs to a different character; use a new one")

    async def _rejection_reasons(
        self, requested: GenerationRequested, character: Character | None
    ) -> tuple[FieldError, ...]:
        """Return the reasons for which the prompt-builder would reject a request.

        The check takes milliseconds and runs in a thread.
        """
        in_thread = offload if is_large_request() else asyncio.to_thread
        reasons = await in_thread(admission_reasons, requested, character, self._catalogue)
        return tuple(map(field_error_of, reasons))

    async def cancel(self, job_id: str, caller: Caller, trace: str | None) -> None:
        """Publish a command to cancel a job."""
        await self._command(job_id, caller, GenerationCancel(job_id=job_id, tenant=caller.tenant), trace)

    async def cancel_chain(self, chain_id: str, caller: Caller, trace: str | None) -> None:
        """Publish a command to cancel a chain."""
        cancel = ChainCancel(chain_id=chain_id, tenant=caller.tenant, requested_at=self._now())
        await self._command(chain_id, caller, cancel, trace)

    async def resume_chain(self, chain_id: str, caller: Caller, trace: str | None) -> None:
        """Publish a command to resume a chain."""
        resume = ChainResume(chain_id=chain_id, tenant=caller.tenant, requested_at=self._now())
        await self._command(chain_id, caller, resume, trace)

    async def _store(
        self, new: Accepted, requested_id: str | None, message: Message, trace: str | None
    ) -> tuple[Accepted, bool]:
        outbox = await offload(self._outbox_entry, message, trace)
        try:
            if requested_id is not None:
                await self._refuse_jobs_from_elsewhere(requested_id)
            if not await self._submissions.add(new, outbox):
                return earlier_submission(new, requested_id, await self._submissions.known(new)), False
        except Conflict as conflict:
            raise Refusal(409, str(conflict)) from None
        await self._submission_outbox.try_publish(
            PendingEntry(id=new.job_id, entry=OutboxEntry.model_validate(outbox))
        )
        return new, True

    async def _command(self, about: str, caller: Caller, message: Message, trace: str | None) -> None:
        """Store a command and publish it. A newer command of the same kind replaces an older one."""
        outbox, command_id = self._outbox_entry(message, trace), f"{topic_of(message)}/{about}"
        await self._commands.add(command_id, caller.tenant, outbox)
        await self._command_outbox.try_publish(
            PendingEntry(id=command_id, entry=OutboxEntry.model_validate(outbox))
        )

    async def _refuse_jobs_from_elsewhere(self, job_id: str) -> None:
        if await self._jobs.existing([job_id]) and await self._submissions.get(job_id) is None:
            raise Conflict("job_id already belongs to a different request; use a new one")

    def _outbox_entry(self, message: Message, trace: str | None) -> dict[str, object]:
        return outbox_entry(message, source=SOURCE, trace=trace, at=self._now())


def _as_sent(creation: CharacterCreation, errors: tuple[FieldError, ...]) -> tuple[FieldError, ...]:
    """Name the fields as the caller wrote them; the wizard's configuration has several forms."""
    return tuple(FieldError(field=creation.sent_as(each.field), message=each.message) for each in errors)


def _refuse(errors: tuple[FieldError, ...]) -> None:
    if errors:
        raise Refusal(422, "; ".join(f"{error.field}: {error.message}" for error in errors), errors)
