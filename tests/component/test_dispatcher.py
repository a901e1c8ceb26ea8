"""The dispatcher from outside: records in, records out, with faults in between."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from structlog.testing import capture_logs

from contracts.base import Message, topic_of, topics_of
from contracts.catalog import MESSAGES
from contracts.jobs import CharacterSheetCompleted, JobEvent
from contracts.renders import RenderRequested
from services.dispatcher.handlers import handlers
from services.dispatcher.job_record import JobRecord
from services.dispatcher.lora_waits import CharacterState
from shared.envelope import Envelope
from shared.errors import TransientError
from tests.fakes.builders import (
    CHARACTER,
    JOB,
    LORA,
    MIA,
    POLICIES,
    START,
    TRACE,
    a_cancel,
    a_plan,
    a_rejection,
    a_spec,
    a_wait,
    a_waiting_plan,
    due,
    failed,
    progressed,
    refused,
    stored,
)
from tests.fakes.dispatcher import FakeCharacterReader
from tests.fakes.documents import FakeDocuments
from tests.fakes.kafka import FakeConsumer, FakeSender, a_record, raw_record
from tests.fakes.subscriptions import FakeKafka

KINDS = {topic: kind for kind in MESSAGES for topic in topics_of(kind)}


class DispatcherHarness:
    """A dispatcher with a fake broker, database and clock."""

    def __init__(self) -> None:
        self.now = START
        self.jobs = FakeDocuments(JobRecord)
        self.characters = FakeCharacterReader()
        self.sender = FakeSender([])
        self.consumer = FakeConsumer([], set())
        self._offsets = count(100)
        self._kafka = FakeKafka(self.sender)
        handlers(self._kafka.subscribe, self.jobs, self.characters, POLICIES, lambda: self.now)

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

    @property
    def job(self) -> JobRecord:
        job = self.jobs.get(JOB)
        assert job is not None
        return job


def read(envelope: Envelope) -> Message:
    return KINDS[envelope.topic].model_validate_json(envelope.body)


def in_short(envelope: Envelope) -> str:
    match read(envelope):
        case JobEvent(event=event, seq=seq):
            return f"{event} {seq}"
        case RenderRequested(provider=provider, attempt_id=attempt):
            return f"{provider}: {attempt.removeprefix(JOB)}"
    return envelope.topic


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


async def test_a_plan_becomes_renders_and_their_results_complete_the_job() -> None:
    harness = DispatcherHarness()
    assert await harness.receive(a_plan(images=2)) == ["accepted 1", "modal: /0/1", "modal: /1/1"]
    assert await harness.receive(progressed(0)) == ["started 2", "progressed 2"]
    assert await harness.receive(stored(0)) == ["image_ready 3"]
    assert await harness.receive(stored(1)) == ["image_ready 4", "completed 5"]
    assert (harness.job.status, harness.job.version) == ("completed", 4)


async def test_a_rejected_request_is_a_failed_job() -> None:
    harness = DispatcherHarness()
    assert await harness.receive(a_rejection()) == ["failed 1"]
    assert harness.job.error is not None
    assert harness.job.error.code == "rejected"


async def test_a_failed_render_is_retried_when_its_timer_is_due() -> None:
    harness = DispatcherHarness()
    assert await harness.receive(a_plan(), failed()) == ["accepted 1", "modal: /0/1", "started 2"]
    assert harness.job.wake_at is not None
    harness.now = harness.job.wake_at
    assert await harness.receive(due(harness.now)) == ["modal: /0/2"]
    assert await harness.receive(stored(n=2)) == ["image_ready 3", "completed 4"]


async def test_a_job_ends_at_its_deadline_even_if_no_provider_ever_answers() -> None:
    harness = DispatcherHarness()
    await harness.receive(a_plan())
    assert harness.job.wake_at == START + timedelta(seconds=300)
    harness.now = harness.job.wake_at
    outputs = await harness.receive(due(harness.now))
    assert outputs == ["render.cancel.modal.v1", "image_failed 2", "failed 3"]


async def test_a_repeated_timer_publishes_the_waiting_request_with_the_same_bytes() -> None:
    harness = DispatcherHarness()
    await harness.receive(a_wait())
    harness.characters.known = {MIA: CharacterState()}
    calls = harness.records(due(START, character_id=CHARACTER))
    first = await harness.consume(*calls)
    assert [envelope.topic for envelope in first] == ["generation.requested.v1"]
    harness.characters.known = {}
    assert await harness.consume(*calls) == first
    assert await harness.receive(a_plan(character_id=CHARACTER)) == ["accepted 2", "modal: /0/1"]
    assert await harness.consume(*calls) == first


async def test_characters_are_read_once_for_all_due_jobs_of_a_batch() -> None:
    harness = DispatcherHarness()
    await harness.receive(a_waiting_plan())
    harness.characters.known = {MIA: CharacterState(LORA)}
    calls = [due(START + timedelta(seconds=n), character_id=CHARACTER) for n in range(3)]
    assert await harness.receive(*calls) == ["modal: /0/1"]
    assert harness.characters.asked == [set(), {MIA}]


async def test_the_messages_of_a_job_may_all_come_in_one_batch() -> None:
    harness = DispatcherHarness()
    outputs = await harness.receive(a_plan(images=2), progressed(0), refused(1), stored(0))
    assert outputs == [
        "accepted 1",
        "modal: /0/1",
        "modal: /1/1",
        "started 2",
        "progressed 2",
        "image_failed 3",
        "image_ready 4",
        "completed 5",
    ]
    assert (harness.job.version, harness.jobs.saves) == (1, 1)


async def test_progress_never_follows_the_end_of_its_job() -> None:
    harness = DispatcherHarness()
    await harness.receive(a_plan())
    outputs = await harness.receive(progressed(percent=10), progressed(percent=90), stored())
    assert outputs == ["started 2", "progressed 2", "image_ready 3", "completed 4"]


async def test_a_character_sheet_is_announced_under_its_character() -> None:
    harness = DispatcherHarness()
    await harness.receive(a_plan(type="character_sheet", character_id=CHARACTER))
    *_, sheet = await harness.consume(*harness.records(stored()))
    assert (sheet.topic, sheet.key) == (CharacterSheetCompleted.topic, CHARACTER)


async def test_captions_for_training_are_published_with_each_image_and_with_the_sheet() -> None:
    harness = DispatcherHarness()
    spec = a_spec(caption="{trigger}, front view")
    await harness.receive(a_plan(type="character_sheet", character_id=CHARACTER, renders=(spec,)))
    outputs = [read(each) for each in await harness.consume(*harness.records(stored()))]
    (ready,) = [each for each in outputs if isinstance(each, JobEvent) and each.event == "image_ready"]
    (sheet,) = [each for each in outputs if isinstance(each, CharacterSheetCompleted)]
    assert ready.image is not None
    assert (ready.image.caption, ready.character_id) == ("{trigger}, front view", CHARACTER)
    assert sheet.captions == ("{trigger}, front view",)


async def test_each_message_goes_out_under_the_key_that_keeps_its_order() -> None:
    harness = DispatcherHarness()
    plan = a_plan(renders=(a_spec(0), a_spec(1, face=f"{JOB}/0")))
    keys = {(each.topic, each.key) for each in await harness.consume(*harness.records(plan))}
    assert keys == {
        ("job.events.v1", JOB),
        ("render.requested.modal.v1", f"{JOB}/0"),
        ("render.requested.fal.v1", f"{JOB}/1"),
    }


async def test_a_crash_before_the_commit_publishes_the_same_bytes_again() -> None:
    harness = DispatcherHarness()
    records = harness.records(a_plan(images=2), stored(0))
    first = await harness.consume(*records)
    job = harness.job
    harness.now += timedelta(seconds=30)
    assert await harness.consume(*records) == first
    assert harness.job == job


async def test_a_crash_before_the_publish_loses_nothing() -> None:
    harness = DispatcherHarness()
    records = harness.records(a_plan())
    harness.sender.failures = [TransientError("the broker is away")] * 10
    assert await harness.consume(*records) == []
    assert harness.job.seq == 1, "it is written, but nobody has heard of it"
    assert harness.consumer.committed == {}
    harness.sender.failures = []
    assert [in_short(each) for each in await harness.consume(*records)] == ["accepted 1", "modal: /0/1"]


async def test_the_numbered_events_stay_in_the_document_as_they_were_published() -> None:
    harness = DispatcherHarness()
    outputs = await harness.consume(*harness.records(a_plan(), progressed(), stored()))
    events = [message for each in outputs if isinstance(message := read(each), JobEvent)]
    assert list(harness.job.events) == [event for event in events if event.event != "progressed"]


async def test_commands_are_dropped_from_the_document_once_they_are_safely_published() -> None:
    harness = DispatcherHarness()
    await harness.receive(a_plan(images=3))
    await harness.receive(refused(0), refused(1))
    kept = [(cause.topic, len(cause.outputs)) for cause in harness.job.handled]
    assert kept == [("generation.planned.v1", 4), ("render.failed.v1", 2), ("render.failed.v1", 1)]
    await harness.receive(failed(2))
    kept = [(cause.topic, len(cause.outputs)) for cause in harness.job.handled]
    assert kept == [("generation.planned.v1", 4), ("render.failed.v1", 0)]


async def test_at_its_end_a_job_keeps_its_events_and_no_command() -> None:
    harness = DispatcherHarness()
    plan, one, two = harness.records(a_plan(images=2), stored(0), stored(1))
    outputs = await harness.consume(plan, one, two)
    assert len(outputs) == 7
    topics = [message.topic for cause in harness.job.handled for message in cause.outputs]
    assert topics == ["job.events.v1"] * 5
    again = await harness.consume(plan, one, two)
    assert again == [each for each in outputs if not each.topic.startswith("render.")]


async def test_cancel_commands_are_published_again_with_the_end_that_caused_them() -> None:
    harness = DispatcherHarness()
    await harness.receive(a_plan(images=2))
    (cancel,) = harness.records(a_cancel())
    outputs = await harness.consume(cancel)
    assert [each.topic for each in outputs].count("render.cancel.modal.v1") == 2
    assert await harness.consume(cancel) == outputs


async def test_a_cancel_of_another_tenant_does_not_hide_the_owners() -> None:
    harness = DispatcherHarness()
    await harness.receive(a_plan())
    assert await harness.receive(a_cancel(tenant="other")) == []
    assert (await harness.receive(a_cancel()))[-1] == "failed 3"


async def test_a_conflicting_plan_is_a_dead_letter_and_the_first_job_continues() -> None:
    harness = DispatcherHarness()
    await harness.receive(a_plan())
    outputs = await harness.receive(a_plan(request_hash="def"), stored())
    assert outputs == ["dead-letters.v1", "started 2", "image_ready 3", "completed 4"]
    assert [letter.reason for letter in harness.sender.letters()] == ["job_id_conflict"]


async def test_an_unreadable_record_on_any_topic_does_not_stop_the_dispatcher() -> None:
    harness = DispatcherHarness()
    (plan,) = harness.records(a_plan())
    poison = [
        raw_record(topic_of(message), b"{", offset=next(harness._offsets))
        for message in (a_plan(), a_rejection(), a_cancel(), progressed(), failed(), stored(), due(START))
    ]
    outputs = await harness.consume(*poison, plan)
    assert [in_short(each) for each in outputs[-2:]] == ["accepted 1", "modal: /0/1"]
    assert len(harness.sender.letters()) == 7


async def test_two_dispatchers_at_once_publish_each_event_once() -> None:
    harness, other = DispatcherHarness(), DispatcherHarness()
    await harness.receive(a_plan(images=2))
    other.jobs.put(JOB, harness.job)
    await other.receive(stored(0))
    harness.jobs.rival({JOB: other.job})
    assert await harness.receive(stored(1)) == ["image_ready 4", "completed 5"]


async def test_all_outputs_of_a_job_belong_to_the_trace_of_its_request() -> None:
    harness = DispatcherHarness()
    outputs = await harness.consume(*harness.records(a_plan()))
    trace_id = TRACE.split("-")[1]
    traces: set[Any] = {dict(each.headers)["traceparent"].decode().split("-")[1] for each in outputs}
    assert traces == {trace_id}
    assert harness.job.trace is not None
    assert harness.job.trace.split("-")[1] == trace_id
