"""A dispatcher around one log. The test runs its steps, and may kill or interrupt them."""

import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Literal, cast

from aiokafka import ConsumerRecord, TopicPartition

from contracts.base import Message
from contracts.chains import LoraFailed, LoraReady
from contracts.characters import character_key
from contracts.generation import GenerationPlanned
from services.dispatcher.character_reader import MongoCharacterReader
from services.dispatcher.handlers import CharacterReader, handlers
from services.dispatcher.job_record import JobRecord
from services.dispatcher.lora_waits import CharacterRef, CharacterState
from services.dispatcher.timers import job_timers
from services.dispatcher.wakeups import wakeups
from shared.due_timers import DueTimers
from shared.envelope import Envelope, Outgoing, encode
from shared.kafka.publisher import Publisher
from shared.mongo import Collection, Document
from shared.mongo.documents import MongoDocuments
from tests.fakes.builders import CHAIN, CHARACTER, JOB, LORA, MIA, POLICIES, START, TRACE, a_waiting_plan
from tests.fakes.documents import FakeCollection
from tests.fakes.kafka import FakeConsumer, raw_record
from tests.fakes.subscriptions import FakeKafka

Point = Literal["read", "write", "send", "commit", "call"]
"""Points of interruption: after a read of characters; before a write, send, commit or timer's publish."""
Step = Callable[[], Awaitable[None]]


class FakeCharacterReader(CharacterReader):
    """Characters in memory. `asked` has the characters that each batch read."""

    def __init__(self) -> None:
        self.known: dict[CharacterRef, CharacterState] = {}
        self.asked: list[set[CharacterRef]] = []

    async def states(self, wanted: Iterable[CharacterRef]) -> dict[CharacterRef, CharacterState]:
        wanted = set(wanted)
        self.asked.append(wanted)
        return {key: known for key, known in self.known.items() if key in wanted}


class Killed(BaseException):
    """The process is killed at this line; no handler catches it."""


class DispatcherSimulation:
    """The log, the stores, and the steps of their users. Each step takes a millisecond."""

    def __init__(self) -> None:
        self.now = START
        self.log: dict[str, list[ConsumerRecord]] = defaultdict(list)
        self.meanwhile: dict[Point, Step] = {}
        self.characters = FakeCollection(
            {"_id": character_key(*MIA), "tenant": "acme", "character_id": CHARACTER, "character": None}
        )
        self.chains = FakeCollection()
        self.selections = FakeCollection()
        self._jobs = _Jobs(self)
        self._kafka = FakeKafka(_Sender(self))
        self._consumers: dict[str, _Consumer] = {}
        self._unannounced: list[Message] = []
        self._timers = self._new_timers()
        jobs: MongoDocuments[JobRecord] = MongoDocuments(cast(Collection, self._jobs), JobRecord)
        handlers(self._kafka.subscribe, jobs, _InterceptedReader(self), POLICIES, lambda: self.now)
        wakeups(self._kafka.subscribe, cast(Collection, self._jobs))

    @property
    def job(self) -> JobRecord | None:
        kept = self._jobs.kept.get(JOB)
        return JobRecord.model_validate(kept) if kept else None

    def read_only(self) -> tuple[Collection, Collection, Collection]:
        """The collections of the characters service."""
        collections = (self.characters, self.chains, self.selections)
        first, second, third = (cast(Collection, each) for each in collections)
        return first, second, third

    def begin_chain(self) -> None:
        """Store a running chain whose training waits for its sheet."""
        steps = [
            {"type": "character_sheet", "state": "running"},
            {"type": "lora_training", "state": "waiting"},
        ]
        about = {"tenant": "acme", "character_id": CHARACTER, "chain_id": CHAIN}
        self.chains.kept[CHAIN] = {"_id": CHAIN, "state": "running", "steps": steps} | about

    def end_chain(self, state: str) -> None:
        self.chains.kept[CHAIN] |= {"state": state}

    def put(self, job: JobRecord) -> None:
        """Store a job from before."""
        self._jobs.kept[job.job_id] = {"_id": job.job_id} | job.model_dump()

    def published(self, topic: str) -> list[Document]:
        """Return the distinct messages of a topic."""
        bodies = dict.fromkeys(record.value for record in self.log[topic])
        return [_body(value) for value in bodies]

    async def plan(self) -> None:
        """Publish the plan of a picture that waits for its LoRA."""
        self._tick()
        if not self.log[GenerationPlanned.topic]:
            self._put(a_waiting_plan())

    async def train(self) -> None:
        """Write the LoRA as the characters service does, before its announcement."""
        self._write(character={"name": "Mia", "age": 27, "lora": LORA.model_dump()}, lora_state="ready")
        self._unannounced.append(LoraReady(**self._about(), lora=LORA))

    async def fail(self) -> None:
        """Write the failure of the training, before its announcement."""
        self._write(lora_state="failed", lora_error="too few images", lora_failed_at=self.now)
        self._unannounced.append(LoraFailed(**self._about(), reason="too few images"))

    async def announce(self) -> None:
        """Publish the announcements of what was written."""
        self._tick()
        while self._unannounced:
            self._put(self._unannounced.pop(0))

    async def read_announcements(self) -> None:
        """Let the dispatcher read announcements and wake the waiting jobs."""
        await self._run(partial(self._catch_up, "dispatcher-wakeups"))

    async def dispatch(self) -> None:
        """Let the dispatcher handle its unread messages."""
        await self._run(partial(self._catch_up, "dispatcher"))

    async def look(self) -> None:
        """Let the timers publish the messages of due jobs."""
        await self._run(self._timers.publish_due)

    async def die(self) -> None:
        """Kill the process of the present step; only its writes remain."""
        raise Killed

    async def settle(self) -> None:
        """Run all steps until there is nothing to do, for far less than 30 seconds."""
        self.meanwhile = {}
        await self.announce()
        for _ in range(4):
            for step in (self.read_announcements, self.dispatch, self.look, self.dispatch):
                await step()

    async def at(self, point: Point) -> None:
        """Run the step that is planned for this point, once."""
        if step := self.meanwhile.pop(point, None):
            await step()

    async def publish(self, outputs: Iterable[Outgoing]) -> None:
        """Publish for the timers."""
        await self.at("call")
        self.keep(encode(cast(Message, each.message), source="test", trace=each.trace) for each in outputs)

    def keep(self, envelopes: Iterable[Envelope]) -> None:
        for envelope in envelopes:
            lying = self.log[envelope.topic]
            key, headers = envelope.key.encode(), envelope.headers
            lying.append(
                raw_record(envelope.topic, envelope.body, offset=len(lying), key=key, headers=headers)
            )

    def _put(self, message: Message) -> None:
        self.keep([encode(message, source="test", trace=TRACE)])

    def _write(self, **fields: Any) -> None:
        self._tick()
        self.characters.kept[character_key(*MIA)] |= fields

    def _about(self) -> dict[str, Any]:
        return {"character_id": CHARACTER, "job_id": CHARACTER, "tenant": "acme", "at": self.now}

    async def _run(self, step: Step) -> None:
        self._tick()
        try:
            await step()
        except Killed:
            self._timers = self._new_timers()

    def _tick(self) -> None:
        self.now += timedelta(milliseconds=1)

    def _new_timers(self) -> DueTimers:
        return job_timers(cast(Collection, self._jobs), cast(Publisher, self), lambda: self.now)

    async def _catch_up(self, group: str) -> None:
        """Deliver to a group what it has not committed yet."""
        topics = self._kafka.subscriptions[group].topics
        assigned = {TopicPartition(topic, 0) for topic in topics}
        consumer = self._consumers.setdefault(group, _Consumer(self, assigned))
        places = ((tp.topic, consumer.committed.get(tp, 0)) for tp in sorted(consumer.assigned))
        records = [record for topic, start in places for record in self.log[topic][start:]]
        if records:
            await self._kafka.deliver(records, consumer, group)


class _Sender:
    """Publishes into the simulation's log."""

    source = "dispatcher"

    def __init__(self, simulation: DispatcherSimulation) -> None:
        self._simulation = simulation

    def encode(self, outgoing: Outgoing) -> Envelope:
        if isinstance(outgoing.message, Envelope):
            return outgoing.message
        return encode(outgoing.message, source=self.source, trace=outgoing.trace)

    async def send(self, envelopes: Sequence[Envelope]) -> None:
        await self._simulation.at("send")
        self._simulation.keep(envelopes)


class _Consumer(FakeConsumer):
    def __init__(self, simulation: DispatcherSimulation, assigned: set[TopicPartition]) -> None:
        super().__init__([], assigned)
        self._simulation = simulation

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        await self._simulation.at("commit")
        await super().commit(offsets)


class _Jobs(FakeCollection):
    def __init__(self, simulation: DispatcherSimulation) -> None:
        super().__init__()
        self._simulation = simulation

    async def bulk_write(self, writes: Sequence[Any], *, ordered: bool) -> None:
        await self._simulation.at("write")
        await super().bulk_write(writes, ordered=ordered)


class _InterceptedReader(CharacterReader):
    def __init__(self, simulation: DispatcherSimulation) -> None:
        self._simulation = simulation

    async def states(self, wanted: Iterable[CharacterRef]) -> dict[CharacterRef, CharacterState]:
        found = await MongoCharacterReader(*self._simulation.read_only()).states(wanted)
        await self._simulation.at("read")
        return found


def _body(value: bytes | None) -> Document:
    body: Document = json.loads(value or b"{}")
    return body
