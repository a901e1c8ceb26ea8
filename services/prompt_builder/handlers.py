"""generation.requested → prompts → generation.planned, or .rejected with named reasons, or .waiting

A request for a character that is not stored yet, or not with the face that was chosen before it,
waits for it at the dispatcher.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from aiokafka import ConsumerRecord

from contracts.base import Message
from contracts.characters import Character
from contracts.generation import GenerationRejected, GenerationRequested, Reason
from contracts.times import plausible
from prompts.catalogue import Catalogue
from prompts.planner import plan, plan_without_character, request_hash
from prompts.unreadable_requests import rejection_of
from shared.clock import now
from shared.envelope import Outgoing, Received, caused_by
from shared.errors import PermanentError
from shared.kafka.decoding import Unreadable, record_time
from shared.kafka.subscribe import Subscribe


@dataclass(frozen=True, slots=True)
class StoredCharacter:
    """A character, and the chains of the base image selections that its record shows."""

    character: Character
    choices: frozenset[str] = frozenset()


class Characters(Protocol):
    """Reads stored characters, which requests may name by id."""

    async def find(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], StoredCharacter]:
        """Return the characters that exist, by (tenant, character id); one round trip."""


def handlers(subscribe: Subscribe, characters: Characters, catalogue: Catalogue) -> None:
    """Declare the subscription of the prompt-builder."""

    @subscribe(GenerationRequested, group="prompt-builder", on_unreadable=refuse, on_failed=give_up)
    async def plan_generations(batch: Sequence[Received[GenerationRequested]]) -> list[Outgoing]:
        known = await characters.find({key for received in batch if (key := character_key(received.message))})
        # In a thread: checking the largest text takes seconds, and health checks must be answered meanwhile.
        return await asyncio.to_thread(plans, batch, known, catalogue)


def plans(
    batch: Sequence[Received[GenerationRequested]],
    known: Mapping[tuple[str, str], StoredCharacter],
    catalogue: Catalogue,
) -> list[Outgoing]:
    """Plan each request of a batch; it is planned later while its character, or the face, is not stored."""
    outputs: list[Outgoing] = []
    for received in batch:
        requested = received.message
        key = character_key(requested)
        at = requested_at_of(received)
        stored = known.get(key) if key else None
        if key and not (stored and is_complete(stored, requested)):
            outputs += caused_by(
                received, plan_without_character(requested, requested_at=at, catalogue=catalogue)
            )
            continue
        character = stored.character if stored else None
        planned = plan(requested, character=character, requested_at=at, catalogue=catalogue)
        outputs += caused_by(received, planned)
    return outputs


def character_key(requested: GenerationRequested) -> tuple[str, str] | None:
    """The stored character that a request is about: (tenant, character id)."""
    character_id = getattr(requested.request, "character_id", None)
    return (requested.tenant, character_id) if character_id else None


def is_complete(stored: StoredCharacter, requested: GenerationRequested) -> bool:
    """Tell whether a stored character has the face that was chosen before the request."""
    return requested.awaited_choice is None or requested.awaited_choice in stored.choices


def requested_at_of(received: Received[GenerationRequested]) -> datetime:
    """Return the time of the request: never later than its record, never implausibly early."""
    return plausible(received.message.requested_at, received.at)


def refuse(record: ConsumerRecord, unreadable: Unreadable) -> Message | None:
    """Reject an invalid request. None (a dead letter) without a readable job id, tenant or user id."""
    if unreadable.cause is None:
        return None
    at = record_time(record, now())
    key = (record.key or b"").decode("utf-8", "replace")
    return rejection_of(record.value or b"", key, unreadable.cause, at)


def give_up(received: Received[GenerationRequested], error: Exception) -> Message:
    """Reject a request that cannot be planned, so that its job ends."""
    requested = received.message
    what = str(error) if isinstance(error, PermanentError) else type(error).__name__
    return GenerationRejected(
        job_id=requested.job_id,
        tenant=requested.tenant,
        user_id=requested.user_id,
        type=requested.request.type,
        request_hash=request_hash(requested),
        requested_at=requested_at_of(received),
        notify=requested.notify,
        chain_id=requested.chain,
        character_id=requested.character_id,
        reasons=(Reason(field="request", message=f"could not be planned: {what}"[:500]),),
    )
