"""Prompt-builder, dispatcher and characters together: in whatever order messages about one character come.

Each of the three reads its topics at its own pace, and every record may be handed over again. The
character may be chosen or created before or after a picture of it is asked for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from contracts.base import Message, topics_of
from contracts.catalog import MESSAGES
from contracts.characters import character_key
from contracts.generation import GenerationRequested
from contracts.jobs import JobDue, JobEvent
from contracts.renders import RenderRequested
from contracts.requests import StudioRequest
from prompts.catalogue import default_catalogue
from services.characters import handlers as characters_service
from services.characters.going_on import ChainRecord
from services.characters.records import Record
from services.dispatcher import handlers as dispatcher
from services.dispatcher.timers import WAITING
from services.dispatcher.transition import JobRecord
from services.dispatcher.waiting import CharacterRef, KnownLora
from services.prompt_builder import handlers as prompt_builder
from services.prompt_builder.handlers import StoredCharacter
from shared.envelope import Envelope, Received, encode
from tests.fakes.builders import CHARACTER, JOB, POLICIES, START, TRACE, a_cancel
from tests.fakes.characters import POLICIES as CHARACTER_POLICIES
from tests.fakes.characters import FakeJobs, a_creation, a_selection
from tests.fakes.documents import FakeDocuments
from tests.fakes.subscriptions import Handlers

KINDS = {topic: kind for kind in MESSAGES for topic in topics_of(kind)}
ASKED = GenerationRequested(
    job_id=JOB, tenant="acme", user_id="ann", request=StudioRequest(character_id=CHARACTER)
)
THEIRS = a_creation(tenant="other")


@dataclass
class Reader:
    """A consumer group: how far it has read each topic, and what it said to the record before."""

    group: str
    topics: Sequence[str]
    positions: dict[str, int] = field(default_factory=dict)
    said: dict[str, list[Envelope]] = field(default_factory=dict)


class World:
    """The log, the documents of the three services, and a clock."""

    def __init__(self, order: Random) -> None:
        self.now = START
        self.log: dict[str, list[tuple[Envelope, datetime]]] = {topic: [] for topic in KINDS}
        self.jobs = FakeDocuments(JobRecord)
        self.characters = FakeDocuments(Record)
        self._order = order
        self._called: set[datetime] = set()
        self._handlers = Handlers()
        prompt_builder.handlers(self._handlers.subscribe, self, default_catalogue())
        dispatcher.handlers(self._handlers.subscribe, self.jobs, self, POLICIES, lambda: self.now)
        chains = FakeDocuments(ChainRecord)
        characters_service.handlers(
            self._handlers.subscribe, self.characters, chains, FakeJobs(), CHARACTER_POLICIES
        )
        self._readers = {group: Reader(group, topics) for group, topics in self._handlers.topics.items()}

    async def find(self, wanted: Iterable[CharacterRef]) -> dict[CharacterRef, StoredCharacter]:
        """The characters as the prompt-builder reads them."""
        stored = {owner_of: self.characters.get(character_key(*owner_of)) for owner_of in wanted}
        return {
            owner_of: StoredCharacter(record.character, frozenset(face.chain_id for face in record.faces))
            for owner_of, record in stored.items()
            if record
        }

    async def of(self, wanted: Iterable[CharacterRef]) -> dict[CharacterRef, KnownLora]:
        """The characters as the dispatcher reads them."""
        found = (await self.find(wanted)).items()
        return {owner_of: KnownLora(who.character.lora, choices=who.choices) for owner_of, who in found}

    def publish(self, message: Message | Envelope) -> Envelope:
        envelope = message if isinstance(message, Envelope) else encode(message, source="test", trace=TRACE)
        self.log[envelope.topic].append((envelope, self.now))
        return envelope

    async def play(self, news: list[Message]) -> None:
        """Publish the news in their order, each at any moment, and let everybody read all of it."""
        while news or self._unread():
            unread = self._unread()
            if news and (not unread or self._order.random() < 0.3):
                self.publish(news.pop(0))
            else:
                await self._read(*self._order.choice(unread))
            self.now += timedelta(seconds=0.1)
            self._call()

    async def wait(self, seconds: float) -> None:
        """Let the timers call, and everybody read what follows."""
        end = self.now + timedelta(seconds=seconds)
        while (job := self.jobs.get(JOB)) and job.wake_at and job.wake_at <= end:
            self.now = max(self.now, job.wake_at)
            self._call()
            await self.play([])
        self.now = max(self.now, end)

    @property
    def job(self) -> JobRecord:
        job = self.jobs.get(JOB)
        assert job is not None
        return job

    def said(self, kind: type[Message]) -> set[str]:
        """The ids of the messages on the topics of this kind."""
        return {envelope.id for topic in topics_of(kind) for envelope, _ in self.log[topic]}

    def _call(self) -> None:
        """As the timers do."""
        job = self.jobs.get(JOB)
        if job is None or job.wake_at is None or job.wake_at > self.now or job.wake_at in self._called:
            return
        self._called.add(job.wake_at)
        waits = job.phase in WAITING
        about = {"tenant": job.tenant, "character_id": job.character_id} if waits else {}
        self.publish(JobDue.model_validate({"job_id": JOB, "due_at": job.wake_at} | about))

    def _unread(self) -> list[tuple[Reader, str]]:
        return [
            (reader, topic)
            for reader in self._readers.values()
            for topic in reader.topics
            if reader.positions.get(topic, 0) < len(self.log[topic])
        ]

    async def _read(self, reader: Reader, topic: str) -> None:
        """The next record of a topic; sometimes it is handed over again before the next one."""
        place = reader.positions.get(topic, 0)
        first = await self._handle(reader, topic, place)
        if reader.group != "prompt-builder" and self._order.random() < 0.3:
            assert await self._handle(reader, topic, place) == first, "a redelivery says the same bytes"
        elif self._order.random() < 0.3:
            await self._handle(reader, topic, place)
        reader.positions[topic] = place + 1

    async def _handle(self, reader: Reader, topic: str, place: int) -> list[Envelope]:
        envelope, at = self.log[topic][place]
        message = KINDS[topic].model_validate_json(envelope.body)
        received = Received(message, envelope.id, topic, 0, place, at, TRACE, place)
        return [self.publish(each.message) for each in await self._handlers.call(reader.group, [received])]


MAKES = st.sampled_from(
    [[a_selection()], [a_creation()], [a_creation(), a_selection()], [a_selection(), a_creation()]]
)


def shuffled(order: Random, *messages: Message) -> list[Message]:
    news = list(messages)
    order.shuffle(news)
    return news


@given(makes=MAKES, seed=st.integers(0, 2**32))
async def test_a_picture_is_drawn_once_whenever_its_character_comes(makes: list[Message], seed: int) -> None:
    order = Random(seed)
    world = World(order)
    with capture_logs():
        await world.play(shuffled(order, ASKED, *makes, THEIRS))
        await world.wait(20)
    commands = {command for command in world.said(RenderRequested) if JOB in command}
    assert len(commands) == 1
    events = [(event.seq, event.event, event.phase) for event in world.job.events]
    waited = [(1, "accepted", "waiting_for_character"), (2, "accepted", "queued")]
    assert events in ([(1, "accepted", "queued")], waited)
    assert len(events) == len([event for event in world.said(JobEvent) if JOB in event])


@given(seed=st.integers(0, 2**32))
async def test_a_picture_asked_for_after_a_choice_of_face_has_that_face(seed: int) -> None:
    order = Random(seed)
    world = World(order)
    chosen = a_selection()
    after_it = ASKED.model_copy(
        update={
            "request": StudioRequest(character_id=CHARACTER, mode="face_swap"),
            "character_accepted": True,
            "awaited_choice": chosen.chain_id,
        }
    )
    with capture_logs():
        await world.play([a_creation()])
        await world.play(shuffled(order, after_it, chosen))
        await world.wait(20)
    assert world.job.phase == "queued"
    assert [render.spec.face for render in world.job.renders] == [chosen.base_image_id]


@given(seed=st.integers(0, 2**32))
async def test_without_the_character_the_job_is_rejected_once_the_wait_is_over(seed: int) -> None:
    order = Random(seed)
    world = World(order)
    with capture_logs():
        await world.play(shuffled(order, ASKED, THEIRS))
        assert world.job.status == "pending"
        await world.wait(65)
    assert world.job.error is not None
    events = [(event.seq, event.event) for event in world.job.events]
    assert (world.job.error.code, events) == ("rejected", [(1, "accepted"), (2, "failed")])
    assert world.job.error.message == f"request.character_id: character {CHARACTER} does not exist"
    assert world.said(RenderRequested) == set()


@given(makes=MAKES, seed=st.integers(0, 2**32))
async def test_a_job_that_is_cancelled_at_any_moment_of_its_wait_ends_as_cancelled(
    makes: list[Message], seed: int
) -> None:
    order = Random(seed)
    world = World(order)
    with capture_logs():
        await world.play(shuffled(order, ASKED, a_cancel(), a_cancel(tenant="other"), *makes))
        await world.wait(65)
    assert world.job.error is not None
    assert (world.job.error.code, world.job.status) == ("cancelled", "failed")
    ends = [event for event in world.job.events if event.event == "failed"]
    assert len(ends) == 1


@pytest.mark.parametrize("seconds", [1, 30, 55])
async def test_a_character_that_comes_late_is_still_taken(seconds: int) -> None:
    world = World(Random(1))
    with capture_logs():
        await world.play([ASKED])
        await world.wait(seconds)
        await world.play([a_creation()])
        await world.wait(20)
    assert world.job.phase == "queued"
