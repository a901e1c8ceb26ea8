"""plans, failures and stored results → the state of a job → render commands, job events, conflicts"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

import structlog

from contracts.base import Message, Provider
from contracts.jobs import JobDue, JobEvent
from services.dispatcher.domain import JobMessage, advance
from services.dispatcher.job_record import JobRecord, events_only, with_job
from services.dispatcher.lora_waits import CharacterRef, CharacterState, CharacterStates
from services.dispatcher.policies import Policies
from services.dispatcher.unstorable import fail_unstorable
from shared.clock import Clock
from shared.envelope import Outgoing, Received
from shared.errors import UnstorableDocument
from shared.fold import Documents, fold
from shared.kafka.subscribe import Subscribe

log = structlog.get_logger()


class CharacterReader(Protocol):
    """Reads the state of characters and of their LoRAs."""

    async def states(self, wanted: Iterable[CharacterRef]) -> dict[CharacterRef, CharacterState]:
        """Return the characters that exist, by owner and id; one round trip, none for no characters."""


def handlers(
    subscribe: Subscribe,
    jobs: Documents[JobRecord],
    characters: CharacterReader,
    policies: Policies,
    now: Clock,
    down: Callable[[], frozenset[Provider]] = frozenset,
) -> None:
    """Declare the subscription that advances jobs."""

    @subscribe(JobMessage, group="dispatcher")
    async def advance_jobs(batch: Sequence[Received[JobMessage]]) -> list[Outgoing]:
        known = await characters.states(waited_for(batch))
        try:
            return await fold(batch, jobs, partial(apply, known), source="dispatcher", snapshot=is_progress)
        except UnstorableDocument as error:
            if len(batch) > 1:  # the subscription halves the batch until the message is alone
                raise
            log.error("job_document_not_storable", id=batch[0].id, error=str(error))
            return await fold(batch, jobs, partial(give_up, str(error)), source="dispatcher")

    def give_up(
        why: str, job: JobRecord | None, received: Received[JobMessage]
    ) -> tuple[JobRecord | None, Sequence[Message]]:
        return fail_unstorable(job, received.message, why, policies=policies, now=now())

    def apply(
        known: CharacterStates, job: JobRecord | None, received: Received[JobMessage]
    ) -> tuple[JobRecord | None, Sequence[Message]]:
        after, outputs = advance(
            job, received.message, policies=policies, now=now(), down=down(), characters=known
        )
        if after is not None and after is not job and after.trace is None:
            after = with_job(after, trace=received.trace)
        if after is not None and after.terminal and (job is None or not job.terminal):
            after = with_job(after, handled=events_only(after.handled))
        return after, outputs


def waited_for(batch: Sequence[Received[JobMessage]]) -> set[CharacterRef]:
    """Return the characters that the due jobs of a batch wait for."""
    due = (received.message for received in batch if isinstance(received.message, JobDue))
    return {(job.tenant, job.character_id) for job in due if job.tenant and job.character_id}


def is_progress(message: Message) -> bool:
    """Return whether a message is a progress snapshot: not stored, and only the newest is published."""
    return isinstance(message, JobEvent) and message.event == "progressed"
