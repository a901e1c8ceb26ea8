"""Prompt-builder, dispatcher and characters around one log, with messages in any order.

Each of the three reads its topics at its own pace, and every record may be delivered again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from contracts.base import Message, id_of, topics_of
from contracts.catalog import MESSAGES
from contracts.characters import character_key
from contracts.generation import GenerationRequested
from contracts.renders import RenderRequested
from contracts.requests import StudioRequest
from prompts.catalogue import default_catalogue
from services.characters import handlers as characters_service
from services.characters.chain_progress import ChainRecord
from services.characters.job_images import ImagesByJob, JobImages
from services.characters.records import Record
from services.characters.selections import PendingSelections, due_messages
from services.dispatcher import handlers as dispatcher
from services.dispatcher.job_record import JobRecord
from services.dispatcher.lora_waits import CharacterRef, CharacterState
from services.dispatcher.timers import due_messages as job_due_messages
from services.prompt_builder import handlers as prompt_builder
from services.prompt_builder.handlers import StoredCharacter
from shared.envelope import Envelope, Received, encode
from tests.fakes.builders import CHARACTER, JOB, MIA, POLICIES, START, TRACE, stored
from tests.fakes.characters import FACES, FakeJobs
from tests.fakes.characters import POLICIES as CHARACTER_POLICIES
from tests.fakes.documents import FakeDocuments
from tests.fakes.subscriptions import Handlers

KINDS = {topic: kind for kind in MESSAGES for topic in topics_of(kind)}
STUDIO = GenerationRequested(
    job_id=JOB, tenant="acme", user_id="ann", request=StudioRequest(character_id=CHARACTER)
)


@dataclass
class Reader:
    """A consumer group and its position in each topic."""

    group: str
    topics: Sequence[str]
    positions: dict[str, int] = field(default_factory=dict)


class ReferencesHarness:
    """The log, the documents of the three services, and a clock. `drawn` are jobs from before."""

    def __init__(self, order: Random) -> None:
        self.now = START
        self.log: dict[str, list[tuple[Envelope, datetime]]] = {topic: [] for topic in KINDS}
        self.jobs = FakeDocuments(JobRecord)
        self.characters = FakeDocuments(Record)
        self.chains = FakeDocuments(ChainRecord)
        self.selections = FakeDocuments(PendingSelections)
        self.drawn = FakeJobs()
        self._order = order
        self._due: set[str] = set()
        self._handlers = Handlers()
        prompt_builder.handlers(self._handlers.subscribe, self, default_catalogue())
        dispatcher.handlers(self._handlers.subscribe, self.jobs, self, POLICIES, lambda: self.now)
        characters_service.handlers(
            self._handlers.subscribe, self.characters, self.chains, self.selections, self, CHARACTER_POLICIES
        )
        self._readers = {group: Reader(group, topics) for group, topics in self._handlers.topics.items()}

    async def find(self, wanted: Iterable[CharacterRef]) -> dict[CharacterRef, StoredCharacter]:
        """Return the characters as the prompt-builder reads them."""
        records = {owner_of: self.characters.get(character_key(*owner_of)) for owner_of in wanted}
        return {
            owner_of: StoredCharacter(record.character, frozenset(face.chain_id for face in record.faces))
            for owner_of, record in records.items()
            if record
        }

    async def states(self, wanted: Iterable[CharacterRef]) -> dict[CharacterRef, CharacterState]:
        """Return the characters as the dispatcher reads them."""
        wanted = set(wanted)
        found = (await self.find(wanted)).items()
        states = {ref: CharacterState(who.character.lora, choices=who.choices) for ref, who in found}
        waiting = {ref: self.selections.get(character_key(*ref)) for ref in wanted - states.keys()}
        unstored = CharacterState(is_stored=False)
        return states | {
            ref: unstored for ref, selections in waiting.items() if selections and selections.wake_at
        }

    async def images(self, job_ids: Iterable[str]) -> ImagesByJob:
        """Return the jobs as the characters service reads them."""
        wanted = set(job_ids)
        jobs = {job_id: job for job_id in wanted if (job := self.jobs.get(job_id)) and not job.placeholder}
        return {**await self.drawn.images(wanted), **{job_id: _images(job) for job_id, job in jobs.items()}}

    def publish(self, message: Message | Envelope) -> Envelope:
        envelope = message if isinstance(message, Envelope) else encode(message, source="test", trace=TRACE)
        self.log[envelope.topic].append((envelope, self.now))
        return envelope

    async def play(self, messages: Iterable[Message]) -> None:
        """Publish the messages in their order, each at any moment, and let every reader read everything."""
        messages = list(messages)
        while messages or self._unread():
            unread = self._unread()
            if messages and (not unread or self._order.random() < 0.3):
                self.publish(messages.pop(0))
            else:
                await self._read(*self._order.choice(unread))
            self.now += timedelta(seconds=0.1)
            self._run_timers()

    async def wait(self, seconds: float) -> None:
        """Let the timers run for a while, and every reader read the messages that follow."""
        end = self.now + timedelta(seconds=seconds)
        while (due := min((at for at, _ in self._wakeups()), default=end)) < end:
            self.now = max(self.now, due)
            self._run_timers()
            await self.play([])
        self.now = max(self.now, end)

    async def draw(self, job_id: str) -> None:
        """Store an image for each attempt of a job."""
        logs = [self.log[topic] for topic in topics_of(RenderRequested)]
        commands = [RenderRequested.model_validate_json(each.body) for log in logs for each, _ in log]
        about = {"job_id": job_id, "tenant": "acme", "provider": "modal", "at": self.now}
        attempts = sorted({command.attempt_id for command in commands if command.job_id == job_id})
        await self.play([stored().model_copy(update=about | {"attempt_id": each}) for each in attempts])

    @property
    def job(self) -> JobRecord:
        return self.job_of(JOB)

    def job_of(self, job_id: str) -> JobRecord:
        job = self.jobs.get(job_id)
        assert job is not None
        return job

    def published(self, kind: type[Message]) -> set[str]:
        """Return the ids of the messages on the topics of this type."""
        return {envelope.id for topic in topics_of(kind) for envelope, _ in self.log[topic]}

    def _run_timers(self) -> None:
        for at, message in self._wakeups():
            if at <= self.now:
                self._due.add(id_of(message))
                self.publish(message)

    def _wakeups(self) -> list[tuple[datetime, Message]]:
        """Return the times at which documents wake up, with the messages that timers publish then."""
        found: list[tuple[datetime, Message]] = []
        for job_id in (JOB, FACES):
            if (job := self.jobs.get(job_id)) and job.wake_at:
                (output,) = job_due_messages({"_id": job_id} | job.model_dump())
                assert isinstance(output.message, Message)
                found.append((job.wake_at, output.message))
        if (selections := self.selections.get(character_key(*MIA))) and selections.wake_at:
            found += [(selections.wake_at, message) for message, _ in due_messages(selections)]
        return [(at, message) for at, message in found if id_of(message) not in self._due]

    def _unread(self) -> list[tuple[Reader, str]]:
        return [
            (reader, topic)
            for reader in self._readers.values()
            for topic in reader.topics
            if reader.positions.get(topic, 0) < len(self.log[topic])
        ]

    async def _read(self, reader: Reader, topic: str) -> None:
        """Deliver the next record of a topic, sometimes twice."""
        place = reader.positions.get(topic, 0)
        first = await self._handle(reader, topic, place)
        if reader.group != "prompt-builder" and self._order.random() < 0.3:
            assert await self._handle(reader, topic, place) == first, "a redelivery has the same outputs"
        elif self._order.random() < 0.3:
            await self._handle(reader, topic, place)
        reader.positions[topic] = place + 1

    async def _handle(self, reader: Reader, topic: str, place: int) -> list[Envelope]:
        envelope, at = self.log[topic][place]
        message = KINDS[topic].model_validate_json(envelope.body)
        received = Received(message, envelope.id, topic, 0, place, at, TRACE, place)
        return [self.publish(each.message) for each in await self._handlers.call(reader.group, [received])]


def _images(job: JobRecord) -> JobImages:
    return JobImages(
        tenant=job.tenant,
        character=job.character,
        ready=frozenset(render.spec.index for render in job.renders if render.stored),
        planned=len(job.renders) or None,
        ended=job.terminal,
    )


def shuffled(order: Random, *messages: Message) -> list[Message]:
    """Return the messages in another order."""
    mixed = list(messages)
    order.shuffle(mixed)
    return mixed
