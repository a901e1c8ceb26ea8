"""A whole dispatcher around one log, whose steps the test takes, and may break off or cut into."""

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
from services.dispatcher.handlers import Loras, handlers
from services.dispatcher.job_record import JobRecord
from services.dispatcher.loras import MongoLoras
from services.dispatcher.timers import job_timers
from services.dispatcher.waiting import CharacterRef, KnownLora
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
"""After characters were read; before jobs are written, outputs sent, offsets committed, timers call."""
Step = Callable[[], Awaitable[None]]


class FakeLoras(Loras):
    """`known` is what the characters service wrote; `asked` is for whom each batch asked."""

    def __init__(self) -> None:
        self.known: dict[CharacterRef, KnownLora] = {}
        self.asked: list[set[CharacterRef]] = []

    async def of(self, wanted: Iterable[CharacterRef]) -> dict[CharacterRef, KnownLora]:
        wanted = set(wanted)
        self.asked.append(wanted)
        return {key: known for key, known in self.known.items() if key in wanted}


class Killed(BaseException):
    """The process is gone at this line: nobody catches that."""


class World:
    """The log, the stores, and the steps of those who use them; each takes a millisecond."""

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
        self._owed: list[Message] = []
        self._timers = self._new_timers()
        jobs: MongoDocuments[JobRecord] = MongoDocuments(cast(Collection, self._jobs), JobRecord)
        handlers(self._kafka.subscribe, jobs, _Looked(self), POLICIES, lambda: self.now)
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
        """A job that came to be before."""
        self._jobs.kept[job.job_id] = {"_id": job.job_id} | job.model_dump()

    def said(self, topic: str) -> list[Document]:
        """What lies on a topic, as far as it differs."""
        bodies = dict.fromkeys(record.value for record in self.log[topic])
        return [_body(value) for value in bodies]

    async def plan(self) -> None:
        """The prompt-builder plans a picture that waits."""
        self._tick()
        if not self.log[GenerationPlanned.topic]:
            self._put(a_waiting_plan())

    async def train(self) -> None:
        """The characters service writes the LoRA, and owes its announcement."""
        self._write(character={"name": "Mia", "age": 27, "lora": LORA.model_dump()}, lora_state="ready")
        self._owed.append(LoraReady(**self._about(), lora=LORA))

    async def fail(self) -> None:
        """The characters service writes that the training failed, and owes the announcement."""
        self._write(lora_state="failed", lora_error="too few images", lora_failed_at=self.now)
        self._owed.append(LoraFailed(**self._about(), reason="too few images"))

    async def announce(self) -> None:
        """What was written is announced."""
        self._tick()
        while self._owed:
            self._put(self._owed.pop(0))

    async def hear(self) -> None:
        """The dispatcher hears of LoRAs and calls those who wait."""
        await self._run(partial(self._catch_up, "dispatcher-wakeups"))

    async def dispatch(self) -> None:
        """The dispatcher handles what lies there for it."""
        await self._run(partial(self._catch_up, "dispatcher"))

    async def look(self) -> None:
        """The timers look for due jobs."""
        await self._run(self._timers.publish_due)

    async def die(self) -> None:
        """Whoever is at work now is killed; nothing of it is left but what it wrote."""
        raise Killed

    async def settle(self) -> None:
        """Everybody goes on until there is nothing to do, for far less than 30 seconds."""
        self.meanwhile = {}
        await self.announce()
        for _ in range(4):
            for step in (self.hear, self.dispatch, self.look, self.dispatch):
                await step()

    async def at(self, point: Point) -> None:
        """Someone has come to this point: what is to happen meanwhile happens, once."""
        if step := self.meanwhile.pop(point, None):
            await step()

    async def publish(self, outputs: Iterable[Outgoing]) -> None:
        """As the timers' publisher."""
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
    """Publishes into the world's log."""

    source = "dispatcher"

    def __init__(self, world: World) -> None:
        self._world = world

    def encode(self, outgoing: Outgoing) -> Envelope:
        if isinstance(outgoing.message, Envelope):
            return outgoing.message
        return encode(outgoing.message, source=self.source, trace=outgoing.trace)

    async def send(self, envelopes: Sequence[Envelope]) -> None:
        await self._world.at("send")
        self._world.keep(envelopes)


class _Consumer(FakeConsumer):
    def __init__(self, world: World, assigned: set[TopicPartition]) -> None:
        super().__init__([], assigned)
        self._world = world

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        await self._world.at("commit")
        await super().commit(offsets)


class _Jobs(FakeCollection):
    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    async def bulk_write(self, writes: Sequence[Any], *, ordered: bool) -> None:
        await self._world.at("write")
        await super().bulk_write(writes, ordered=ordered)


class _Looked(Loras):
    def __init__(self, world: World) -> None:
        self._world = world

    async def of(self, wanted: Iterable[CharacterRef]) -> dict[CharacterRef, KnownLora]:
        found = await MongoLoras(*self._world.read_only()).of(wanted)
        await self._world.at("read")
        return found


def _body(value: bytes | None) -> Document:
    body: Document = json.loads(value or b"{}")
    return body
