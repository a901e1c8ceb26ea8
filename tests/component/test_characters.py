"""The characters service from outside: records in, records out, with faults in between."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from structlog.testing import capture_logs

from contracts.base import Message, topics_of
from contracts.catalog import MESSAGES
from contracts.chains import LoraReady
from contracts.characters import character_key
from contracts.generation import GenerationCancel, GenerationRequested
from services.characters.chain_progress import ChainRecord
from services.characters.handlers import chain_of, character_of, handlers
from services.characters.job_requests import job_id_of
from services.characters.records import Record
from services.characters.selections import PendingSelections
from shared.envelope import Envelope
from shared.errors import TransientError
from tests.fakes.builders import CHARACTER, JOB, TRACE, after
from tests.fakes.characters import (
    MARA,
    POLICIES,
    FakeJobs,
    a_beginning,
    a_chain_cancel,
    a_creation,
    a_failure,
    a_lora,
    a_resume,
    a_selection,
    a_sheet,
    a_training_event,
    an_event,
    faces,
    images,
)
from tests.fakes.documents import FakeDocuments
from tests.fakes.kafka import FakeConsumer, FakeSender, a_record, raw_record
from tests.fakes.subscriptions import FakeKafka

KINDS = {topic: kind for kind in MESSAGES for topic in topics_of(kind)}
IDA = MARA.model_copy(update={"name": "Ida"})
TRAINING = job_id_of(JOB, 1, 1)


class CharactersHarness:
    """A characters service with a fake broker and database."""

    def __init__(self) -> None:
        self.characters = FakeDocuments(Record)
        self.chains = FakeDocuments(ChainRecord)
        self.selections = FakeDocuments(PendingSelections)
        self.jobs = FakeJobs()
        self.sender = FakeSender([])
        self.consumer = FakeConsumer([], set())
        self._offsets = count(100)
        self._kafka = FakeKafka(self.sender)
        handlers(self._kafka.subscribe, self.characters, self.chains, self.selections, self.jobs, POLICIES)

    def records(self, *messages: Message) -> list[ConsumerRecord]:
        """Return the messages as records of the log."""
        return [a_record(message, offset=next(self._offsets)) for message in messages]

    async def consume(self, *records: ConsumerRecord) -> list[Envelope]:
        """Handle one batch and return its outputs."""
        before = len(self.sender.sent)
        self.consumer.assigned |= {TopicPartition(record.topic, record.partition) for record in records}
        await self._kafka.deliver(records, self.consumer)
        return self.sender.sent[before:]

    async def receive(self, *messages: Message) -> list[str]:
        """Handle one batch and return its outputs in short form."""
        return [in_short(envelope) for envelope in await self.consume(*self.records(*messages))]

    def record(self, character_id: str = JOB, *, tenant: str = "acme") -> Record:
        record = self.characters.get(character_key(tenant, character_id))
        assert record is not None
        return record

    @property
    def chain(self) -> ChainRecord:
        chain = self.chains.get(JOB)
        assert chain is not None
        return chain


def read(envelope: Envelope) -> Message:
    return KINDS[envelope.topic].model_validate_json(envelope.body)


def in_short(envelope: Envelope) -> str:
    match read(envelope):
        case GenerationRequested(request=request):
            return f"please: {request.type}"
        case GenerationCancel(job_id=job_id):
            return f"stop {job_id}"
    return envelope.topic


def a_drawn_sheet() -> list[Message]:
    return [*images(range(7)), an_event("completed")]


def a_finished_training() -> list[Message]:
    about = {"chain_id": JOB, "character_id": JOB}
    return [a_lora(TRAINING, **about), a_training_event("completed", TRAINING, **about)]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


async def test_a_selection_stores_a_character_and_publishes_the_request_that_starts_its_chain() -> None:
    harness = CharactersHarness()
    outputs = await harness.consume(*harness.records(a_selection()))
    assert harness.record(CHARACTER).character.name == "Mara"
    asked = read(outputs[0])
    assert isinstance(asked, GenerationRequested)
    assert await harness.receive(asked) == []
    chain = harness.chains.get(a_selection().chain_id)
    assert chain is not None
    assert (chain.character_id, [step.type for step in chain.steps]) == (
        CHARACTER,
        ["character_sheet", "lora_training"],
    )


async def test_a_chain_goes_from_the_sheet_over_the_lora_to_its_pictures() -> None:
    harness = CharactersHarness()
    assert await harness.receive(a_beginning()) == []
    assert await harness.receive(*a_drawn_sheet()) == ["please: lora_training"]
    assert await harness.receive(*a_finished_training()) == [
        "lora.ready.v1",
        "please: studio",
        "please: profile_pictures",
    ]
    assert harness.record().character.lora is not None
    ends = [an_event("completed", job_id_of(JOB, place, 1)) for place in (2, 3)]
    assert await harness.receive(*ends) == []
    assert harness.chain.state == "completed"


async def test_everything_since_an_outage_may_arrive_in_one_batch_in_any_order_of_topics() -> None:
    harness = CharactersHarness()
    harness.jobs.kept[JOB] = faces()
    sheet = a_sheet(character_id=JOB, chain_id=JOB)
    outputs = await harness.receive(sheet, *a_drawn_sheet(), a_beginning())
    assert outputs == ["please: lora_training"]
    assert harness.record().sheet is not None
    assert harness.jobs.reads == [{JOB}]


async def test_a_chain_requests_pictures_only_after_the_lora_is_in_the_record() -> None:
    harness = CharactersHarness()
    await harness.receive(a_beginning(), *a_drawn_sheet())
    stored: list[bool] = []
    send = harness.sender.send

    async def looking(envelopes: Any) -> None:
        stored.append(harness.record().character.lora is not None)
        await send(envelopes)

    harness.sender.send = looking  # type: ignore[method-assign]
    await harness.receive(*a_finished_training())
    assert stored == [True]


async def test_a_lora_is_announced_under_its_character_with_its_chain() -> None:
    harness = CharactersHarness()
    await harness.receive(a_beginning(), *a_drawn_sheet())
    ready, *_ = await harness.consume(*harness.records(*a_finished_training()))
    message = read(ready)
    assert isinstance(message, LoraReady)
    assert (ready.key, message.chain_id, message.job_id) == (JOB, JOB, TRAINING)


async def test_a_failed_training_is_announced_and_fails_its_chain() -> None:
    harness = CharactersHarness()
    await harness.receive(a_beginning(), *a_drawn_sheet())
    failure = a_failure(TRAINING, type="lora_training")
    assert await harness.receive(failure) == ["lora.failed.v1"]
    assert harness.chain.state == "failed"
    assert await harness.receive(a_resume()) == ["please: lora_training"]


async def test_a_cancel_stops_the_jobs_of_its_chain() -> None:
    harness = CharactersHarness()
    await harness.receive(a_beginning())
    assert await harness.receive(a_chain_cancel(tenant="other")) == []
    assert await harness.receive(a_chain_cancel()) == [f"stop {JOB}"]


async def test_two_tenants_have_characters_of_the_same_id() -> None:
    harness = CharactersHarness()
    about = {"character_id": "char-123"}
    harness.jobs.kept[JOB] = faces(tenant="other")
    await harness.receive(a_creation(**about), a_creation(**about, tenant="other", character=IDA))
    theirs = a_selection(**about, tenant="other", base_image_id=f"{JOB}/0", character=IDA)
    await harness.receive(a_selection(**about), theirs)
    await harness.receive(a_training_event("accepted", **about), a_lora(**about))
    ours, others = harness.record("char-123"), harness.record("char-123", tenant="other")
    assert (ours.character.name, others.character.name) == ("Mara", "Ida")
    assert (ours.lora_state, others.lora_state, others.character.lora) == ("ready", "none", None)
    assert harness.sender.letters() == []


async def test_a_second_description_under_an_id_is_a_dead_letter_with_its_reason() -> None:
    harness = CharactersHarness()
    await harness.receive(a_creation(), a_creation(character=IDA, created_at=after(1)))
    assert [letter.reason for letter in harness.sender.letters()] == ["character_id_conflict"]
    assert harness.record(CHARACTER).character.name == "Mara"


async def test_an_image_that_will_never_be_ready_is_a_dead_letter_and_others_are_selected() -> None:
    harness = CharactersHarness()
    harness.jobs.kept[JOB] = faces(ended=True)
    unknown = a_selection(base_image_id=f"{JOB}/7", character_id=JOB)
    outputs = await harness.receive(unknown, a_selection())
    assert sorted(outputs) == ["dead-letters.v1", "please: character_sheet"]
    assert [letter.reason for letter in harness.sender.letters()] == ["unknown_base_image"]


async def test_another_request_under_a_chains_id_is_a_dead_letter_and_the_chain_continues() -> None:
    harness = CharactersHarness()
    await harness.receive(a_beginning())
    another = a_beginning(job_id=CHARACTER, chain_id=JOB)
    outputs = await harness.receive(another, *a_drawn_sheet())
    assert outputs == ["dead-letters.v1", "please: lora_training"]
    assert [letter.reason for letter in harness.sender.letters()] == ["chain_id_conflict"]


async def test_an_unreadable_request_is_left_to_the_prompt_builder() -> None:
    harness = CharactersHarness()
    poison = raw_record(GenerationRequested.topic, b"{", offset=7)
    outputs = await harness.consume(poison, *harness.records(a_beginning()))
    assert outputs == []
    assert harness.chain.state == "running"
    assert harness.consumer.committed == {TopicPartition(GenerationRequested.topic, 0): 101}


async def test_other_unreadable_records_are_dead_letters() -> None:
    harness = CharactersHarness()
    topics = ["character.base-image-selected.v1", "chain.cancel.v1", "chain.resume.v1"]
    await harness.consume(*(raw_record(topic, b"{", offset=7) for topic in topics))
    assert [letter.original_topic for letter in harness.sender.letters()] == topics


async def test_a_crash_before_the_commit_publishes_the_same_bytes() -> None:
    harness = CharactersHarness()
    records = harness.records(a_selection(), a_beginning(), *a_drawn_sheet())
    first = await harness.consume(*records)
    before = (harness.record(), harness.chain)
    assert await harness.consume(*records) == first
    assert (harness.record(), harness.chain) == before


async def test_a_crash_before_the_publish_loses_nothing() -> None:
    harness = CharactersHarness()
    await harness.receive(a_beginning())
    records = harness.records(*a_drawn_sheet())
    harness.sender.failures = [TransientError("the broker is away")] * 10
    assert await harness.consume(*records) == []
    assert harness.chain.steps[1].state == "running", "it is written, but nobody has heard of it"
    harness.sender.failures = []
    assert [in_short(each) for each in await harness.consume(*records)] == ["please: lora_training"]


async def test_two_processes_with_messages_of_one_chain_request_each_job_once() -> None:
    one, other = CharactersHarness(), CharactersHarness()
    await one.receive(a_beginning(), *a_drawn_sheet())
    await one.receive(*a_finished_training())
    other.chains.put(JOB, one.chain)
    studio, profile = (job_id_of(JOB, place, 1) for place in (2, 3))
    await other.receive(a_failure(studio, type="studio"))
    one.chains.rival({JOB: other.chain})
    await one.receive(an_event("completed", profile))
    assert [step.state for step in one.chain.steps] == ["completed", "completed", "failed", "completed"]
    assert one.chain.state == "failed"


async def test_outputs_belong_to_the_trace_of_their_cause() -> None:
    harness = CharactersHarness()
    (outputs,) = await harness.consume(*harness.records(a_selection()))
    assert dict(outputs.headers)["traceparent"].decode().split("-")[1] == TRACE.split("-")[1]


@pytest.mark.parametrize(
    "message",
    [
        a_beginning(then=()),
        a_beginning(then=(), chain_id=JOB),
        an_event("completed", chain_id=None),
        an_event("accepted"),
        an_event("progressed"),
        a_training_event("progressed"),
        a_training_event("accepted", character_id=None),
    ],
)
def test_messages_about_no_chain_and_no_record_are_ignored(message: Message) -> None:
    assert (character_of(message), chain_of(message)) == (None, None)
