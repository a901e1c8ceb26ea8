"""creations, choices, requests that go on, sheets, trainings → characters, chains → requests, LoRA news"""

from collections.abc import Iterator, Sequence
from functools import partial

from contracts.base import Message
from contracts.chains import BaseImageSelected, ChainCancel, ChainResume
from contracts.characters import CharacterCreated, character_key
from contracts.generation import GenerationConflicted, GenerationRequested
from contracts.ids import RenderKey
from contracts.jobs import CharacterSheetCompleted, JobEvent
from services.characters import chains, records
from services.characters.chains import ChainMessage
from services.characters.drawn import DrawnJobs, Jobs
from services.characters.going_on import ChainRecord
from services.characters.policies import Policies
from services.characters.records import CharacterMessage, Record
from shared.envelope import Outgoing, Received
from shared.fold import Documents, fold
from shared.kafka.subscribe import Subscribe

SOURCE = "characters"
TRAINING_EVENTS = frozenset({"accepted", "started", "image_ready", "failed"})
CHAIN_EVENTS = frozenset({"image_ready", "completed", "failed"})


def handlers(
    subscribe: Subscribe,
    characters: Documents[Record],
    stored_chains: Documents[ChainRecord],
    jobs: Jobs,
    policies: Policies,
) -> None:
    """Declare what the characters service listens to.

    Of one message the character's record is written before its chain goes on: what a chain then
    asks for finds the character, and its LoRA.
    """

    @subscribe(
        CharacterMessage | ChainMessage,
        group="characters",
        answered_elsewhere=(GenerationRequested,),
    )
    async def keep_characters_and_chains(
        batch: Sequence[Received[CharacterMessage | ChainMessage]],
    ) -> list[Outgoing]:
        about_characters = [received for received in batch if character_of(received.message)]
        about_chains = [received for received in batch if chain_of(received.message)]
        drawn = await jobs.drawn(jobs_to_read(batch))
        told = await fold(
            about_characters,
            characters,
            partial(apply_to_character, drawn, policies),
            source=SOURCE,
            key=lambda received: character_of(received.message) or "",
        )
        asked = await fold(
            about_chains,
            stored_chains,
            partial(apply_to_chain, policies),
            source=SOURCE,
            key=lambda received: chain_of(received.message) or "",
        )
        return told + asked


def character_of(message: Message) -> str | None:
    """Return the key of the character's record that a message may change."""
    match message:
        case CharacterCreated() | BaseImageSelected() | CharacterSheetCompleted():
            return character_key(message.tenant, message.character_id)
        case GenerationRequested() if message.then and getattr(message.request, "character", None):
            return _key(message)
        case JobEvent(type="lora_training") if message.event in TRAINING_EVENTS:
            return _key(message)
    return None


def _key(message: GenerationRequested | JobEvent) -> str | None:
    return character_key(message.tenant, message.character_id) if message.character_id else None


def chain_of(message: Message) -> str | None:
    """The chain that a message may move."""
    match message:
        case ChainCancel() | ChainResume() | GenerationConflicted():
            return message.chain_id
        case GenerationRequested() if message.then:
            return message.chain
        case JobEvent() if message.event in CHAIN_EVENTS:
            return message.chain_id
    return None


def jobs_to_read(batch: Sequence[Received[Message]]) -> Iterator[str]:
    """The jobs that must be looked into: of chosen base images, and of sheets of described characters."""
    for received in batch:
        message = received.message
        if isinstance(message, BaseImageSelected):
            yield RenderKey.parse(message.base_image_id).job_id
        elif isinstance(message, CharacterSheetCompleted) and message.chain_id == message.character_id:
            yield message.job_id


def apply_to_character(
    drawn: DrawnJobs, policies: Policies, record: Record | None, received: Received[CharacterMessage]
) -> records.Step:
    """One message, as the fold hands it over."""
    return records.advance(record, received.message, at=received.at, drawn=drawn, policies=policies)


def apply_to_chain(
    policies: Policies, chain: ChainRecord | None, received: Received[ChainMessage]
) -> chains.Step:
    """One message, as the fold hands it over."""
    return chains.advance(chain, received.message, at=received.at, policies=policies)
