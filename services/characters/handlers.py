"""creations, selections, chain requests, sheets, trainings → characters, chains → requests, announcements"""

from collections.abc import Iterator, Sequence
from functools import partial

from contracts.base import Message
from contracts.chains import BaseImageSelected, ChainCancel, ChainResume, SelectionDue
from contracts.characters import CharacterCreated, character_key
from contracts.generation import GenerationConflicted, GenerationRequested
from contracts.ids import RenderKey
from contracts.jobs import CharacterSheetCompleted, JobEvent
from services.characters import chains, records
from services.characters import selections as selection_rules
from services.characters.chain_progress import ChainRecord
from services.characters.chains import ChainMessage
from services.characters.job_images import ImagesByJob, JobReader
from services.characters.policies import Policies
from services.characters.records import CharacterMessage, Record
from services.characters.selections import PendingSelections
from shared.envelope import Outgoing, Received
from shared.fold import Documents, fold
from shared.kafka.subscribe import Subscribe

SOURCE = "characters"
TRAINING_EVENTS = frozenset({"accepted", "started", "image_ready", "failed"})
SELECTIONS = (BaseImageSelected, SelectionDue)
CHAIN_EVENTS = frozenset({"image_ready", "completed", "failed"})


def handlers(
    subscribe: Subscribe,
    characters: Documents[Record],
    stored_chains: Documents[ChainRecord],
    selections: Documents[PendingSelections],
    jobs: JobReader,
    policies: Policies,
) -> None:
    """Declare the subscription of the characters service.

    The record of a character is written before its chain advances and before its selection stops
    waiting: a job that the chain requests finds the character and its LoRA.
    """

    @subscribe(
        CharacterMessage | ChainMessage,
        group="characters",
        answered_elsewhere=(GenerationRequested,),
    )
    async def keep_characters_and_chains(
        batch: Sequence[Received[CharacterMessage | ChainMessage]],
    ) -> list[Outgoing]:
        images = await jobs.images(jobs_to_read(batch))
        announced = await fold(
            [received for received in batch if character_of(received.message)],
            characters,
            partial(apply_to_character, images, policies),
            source=SOURCE,
            key=lambda received: character_of(received.message) or "",
        )
        requested = await fold(
            [received for received in batch if chain_of(received.message)],
            stored_chains,
            partial(apply_to_chain, images, policies),
            source=SOURCE,
            key=lambda received: chain_of(received.message) or "",
        )
        rejected = await fold(
            [received for received in batch if isinstance(received.message, SELECTIONS)],
            selections,
            partial(apply_to_selections, images, policies),
            source=SOURCE,
            key=lambda received: character_of(received.message) or "",
        )
        return announced + requested + rejected


def character_of(message: Message) -> str | None:
    """Return the key of the character's record that a message may change."""
    match message:
        case CharacterCreated() | BaseImageSelected() | SelectionDue() | CharacterSheetCompleted():
            return character_key(message.tenant, message.character_id)
        case GenerationRequested() if message.then and getattr(message.request, "character", None):
            return _key(message)
        case JobEvent(type="lora_training") if message.event in TRAINING_EVENTS:
            return _key(message)
    return None


def _key(message: GenerationRequested | JobEvent) -> str | None:
    return character_key(message.tenant, message.character_id) if message.character_id else None


def chain_of(message: Message) -> str | None:
    """Return the id of the chain that a message may advance."""
    match message:
        case ChainCancel() | ChainResume() | GenerationConflicted() | SelectionDue():
            return message.chain_id
        case GenerationRequested() if message.then:
            return message.chain
        case JobEvent() if message.event in CHAIN_EVENTS:
            return message.chain_id
    return None


def jobs_to_read(batch: Sequence[Received[Message]]) -> Iterator[str]:
    """Yield the jobs to read: of selected base images, and of sheets of described characters."""
    for received in batch:
        message = received.message
        if isinstance(message, BaseImageSelected | SelectionDue):
            selected = message.selection if isinstance(message, SelectionDue) else message
            yield RenderKey.parse(selected.base_image_id).job_id
        elif isinstance(message, CharacterSheetCompleted) and message.chain_id == message.character_id:
            yield message.job_id


def apply_to_character(
    jobs: ImagesByJob, policies: Policies, record: Record | None, received: Received[CharacterMessage]
) -> records.StepResult:
    """Apply one message to a record."""
    return records.advance(record, received.message, at=received.at, jobs=jobs, policies=policies)


def apply_to_selections(
    jobs: ImagesByJob,
    policies: Policies,
    document: PendingSelections | None,
    received: Received[BaseImageSelected | SelectionDue],
) -> selection_rules.Step:
    """Apply one message to the pending selections of a character."""
    return selection_rules.advance(
        document,
        received.message,
        at=received.at,
        trace=received.trace,
        jobs=jobs,
        policy=policies.selection,
    )


def apply_to_chain(
    jobs: ImagesByJob,
    policies: Policies,
    chain: ChainRecord | None,
    received: Received[ChainMessage | SelectionDue],
) -> chains.StepResult:
    """Apply one message to a chain. A refused selection starts its chain; its rejected job ends it."""
    message: ChainMessage | SelectionDue = received.message
    if isinstance(message, SelectionDue):
        if selection_rules.refusal(message, jobs, policies.selection) is None:
            return chain, ()
        message = message.selection.sheet
    return chains.advance(chain, message, at=received.at, policies=policies)
