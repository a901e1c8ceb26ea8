"""plans, failures and stored results → the life of a job → renders to do, job events, conflicts"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

import structlog

from contracts.base import Message, Provider
from contracts.jobs import JobDue, JobEvent
from services.dispatcher.domain import JobMessage, advance
from services.dispatcher.policies import Policies
from services.dispatcher.transition import JobRecord
from services.dispatcher.unstorable import fail_unstorable
from services.dispatcher.waiting import CharacterRef, KnownLora, KnownLoras
from shared.clock import Clock
from shared.envelope import Outgoing, Received
from shared.errors import UnstorableDocument
from shared.fold import Documents, Handled, fold
from shared.kafka.subscribe import Subscribe

log = structlog.get_logger()


class Loras(Protocol):
    """How far the LoRAs of characters are, as the characters service wrote it down."""

    async def of(self, wanted: Iterable[CharacterRef]) -> dict[CharacterRef, KnownLora]:
        """Return the characters that exist, by owner and id; one round trip, none for no characters."""


def handlers(
    subscribe: Subscribe,
    jobs: Documents[JobRecord],
    loras: Loras,
    policies: Policies,
    now: Clock,
    down: Callable[[], frozenset[Provider]] = frozenset,
) -> None:
    """Declare what moves a job."""

    @subscribe(JobMessage, group="dispatcher")
    async def advance_jobs(batch: Sequence[Received[JobMessage]]) -> list[Outgoing]:
        known = await loras.of(waited_for(batch))
        try:
            return await fold(batch, jobs, partial(apply, known), source="dispatcher", snapshot=is_progress)
        except UnstorableDocument as error:
            if len(batch) > 1:  # the subscription halves it, until the message that does it is alone
                raise
            log.error("job_document_not_storable", id=batch[0].id, error=str(error))
            return await fold(batch, jobs, partial(give_up, str(error)), source="dispatcher")

    def give_up(
        why: str, job: JobRecord | None, received: Received[JobMessage]
    ) -> tuple[JobRecord | None, Sequence[Message]]:
        return fail_unstorable(job, received.message, why, policies=policies, now=now())

    def apply(
        known: KnownLoras, job: JobRecord | None, received: Received[JobMessage]
    ) -> tuple[JobRecord | None, Sequence[Message]]:
        after, said = advance(job, received.message, policies=policies, now=now(), down=down(), loras=known)
        if after is not None and after is not job and after.trace is None:
            after = after.model_copy(update={"trace": received.trace})
        if after is not None and after.terminal and (job is None or not job.terminal):
            after = after.model_copy(update={"handled": events_only(after.handled)})
        return after, said


def waited_for(batch: Sequence[Received[JobMessage]]) -> set[CharacterRef]:
    """Return the characters that the due jobs of a batch wait for."""
    calls = (received.message for received in batch if isinstance(received.message, JobDue))
    return {(call.tenant, call.character_id) for call in calls if call.tenant and call.character_id}


def events_only(handled: Sequence[Handled]) -> tuple[Handled, ...]:
    """At a job's end its commands are void; what was told of it may still have to be told again."""
    return tuple(
        each.model_copy(
            update={"said": tuple(said for said in each.said if not said.topic.startswith("render."))}
        )
        for each in handled
    )


def is_progress(message: Message) -> bool:
    """Progress is a snapshot: not stored, and only the newest is said."""
    return isinstance(message, JobEvent) and message.event == "progressed"
