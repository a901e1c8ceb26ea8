"""The dispatcher as its neighbours see it: records in, records out, whatever happens in between."""

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
from services.dispatcher.waiting import KnownLora
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
from tests.fakes.dispatcher import FakeLoras
from tests.fakes.documents import FakeDocuments
from tests.fakes.kafka import FakeConsumer, FakeSender, a_record, raw_record
from tests.fakes.subscriptions import FakeKafka

KINDS = {topic: kind for kind in MESSAGES for topic in topics_of(kind)}


class Dispatcher:
    """A whole dispatcher whose broker, database and clock are fakes."""

    def __init__(self) -> None:
        self.now = START
        self.jobs = FakeDocuments(JobRecord)
        self.loras = FakeLoras()
        self.sender = FakeSender([])
        self.consumer = FakeConsumer([], set())
        self._offsets = count(100)
        self._kafka = FakeKafka(self.sender)
        handlers(self._kafka.subscribe, self.jobs, self.loras, POLICIES, lambda: self.now)

    def records(self, *messages: Message) -> list[ConsumerRecord]:
        """The messages as they lie in the log; each is put there once."""
        return [a_record(message, offset=next(self._offsets)) for message in messages]

    async def consume(self, *records: ConsumerRecord) -> list[Envelope]:
        """One batch; what is sent because of it."""
        before = len(self.sender.sent)
        self.consumer.assigned |= {TopicPartition(record.topic, record.partition) for record in records}
        await self._kafka.deliver(records, self.consumer)
        return self.sender.sent[before:]

    async def hear(self, *messages: Message) -> list[str]:
        """One batch; in short what is said because of it."""
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
    dispatcher = Dispatcher()
    assert await dispatcher.hear(a_plan(images=2)) == ["accepted 1", "modal: /0/1", "modal: /1/1"]
    assert await dispatcher.hear(progressed(0)) == ["started 2", "progressed 2"]
    assert await dispatcher.hear(stored(0)) == ["image_ready 3"]
    assert await dispatcher.hear(stored(1)) == ["image_ready 4", "completed 5"]
    assert (dispatcher.job.status, dispatcher.job.version) == ("completed", 4)


async def test_a_rejected_request_is_a_failed_job() -> None:
    dispatcher = Dispatcher()
    assert await dispatcher.hear(a_rejection()) == ["failed 1"]
    assert dispatcher.job.error is not None
    assert dispatcher.job.error.code == "rejected"


async def test_a_failed_render_is_tried_again_when_its_timer_calls() -> None:
    dispatcher = Dispatcher()
    assert await dispatcher.hear(a_plan(), failed()) == ["accepted 1", "modal: /0/1", "started 2"]
    assert dispatcher.job.wake_at is not None
    dispatcher.now = dispatcher.job.wake_at
    assert await dispatcher.hear(due(dispatcher.now)) == ["modal: /0/2"]
    assert await dispatcher.hear(stored(n=2)) == ["image_ready 3", "completed 4"]


async def test_a_job_ends_at_its_deadline_even_if_no_provider_ever_answers() -> None:
    dispatcher = Dispatcher()
    await dispatcher.hear(a_plan())
    assert dispatcher.job.wake_at == START + timedelta(seconds=300)
    dispatcher.now = dispatcher.job.wake_at
    said = await dispatcher.hear(due(dispatcher.now))
    assert said == ["render.cancel.modal.v1", "image_failed 2", "failed 3"]


async def test_a_call_that_comes_again_publishes_the_waiting_request_with_the_same_bytes() -> None:
    dispatcher = Dispatcher()
    await dispatcher.hear(a_wait())
    dispatcher.loras.known = {MIA: KnownLora()}
    calls = dispatcher.records(due(START, character_id=CHARACTER))
    first = await dispatcher.consume(*calls)
    assert [envelope.topic for envelope in first] == ["generation.requested.v1"]
    dispatcher.loras.known = {}
    assert await dispatcher.consume(*calls) == first
    assert await dispatcher.hear(a_plan(character_id=CHARACTER)) == ["accepted 2", "modal: /0/1"]
    assert await dispatcher.consume(*calls) == first


async def test_characters_are_looked_up_once_for_all_calls_of_a_batch() -> None:
    dispatcher = Dispatcher()
    await dispatcher.hear(a_waiting_plan())
    dispatcher.loras.known = {MIA: KnownLora(LORA)}
    calls = [due(START + timedelta(seconds=n), character_id=CHARACTER) for n in range(3)]
    assert await dispatcher.hear(*calls) == ["modal: /0/1"]
    assert dispatcher.loras.asked == [set(), {MIA}]


async def test_the_messages_of_a_job_may_all_come_in_one_batch() -> None:
    dispatcher = Dispatcher()
    said = await dispatcher.hear(a_plan(images=2), progressed(0), refused(1), stored(0))
    assert said == [
        "accepted 1",
        "modal: /0/1",
        "modal: /1/1",
        "started 2",
        "progressed 2",
        "image_failed 3",
        "image_ready 4",
        "completed 5",
    ]
    assert (dispatcher.job.version, dispatcher.jobs.saves) == (1, 1)


async def test_progress_never_follows_the_end_of_its_job() -> None:
    dispatcher = Dispatcher()
    await dispatcher.hear(a_plan())
    said = await dispatcher.hear(progressed(percent=10), progressed(percent=90), stored())
    assert said == ["started 2", "progressed 2", "image_ready 3", "completed 4"]


async def test_a_character_sheet_is_announced_under_its_character() -> None:
    dispatcher = Dispatcher()
    await dispatcher.hear(a_plan(type="character_sheet", character_id=CHARACTER))
    *_, sheet = await dispatcher.consume(*dispatcher.records(stored()))
    assert (sheet.topic, sheet.key) == (CharacterSheetCompleted.topic, CHARACTER)


async def test_what_a_trainer_is_to_be_told_is_said_with_each_image_and_with_the_sheet() -> None:
    dispatcher = Dispatcher()
    spec = a_spec(caption="{trigger}, front view")
    await dispatcher.hear(a_plan(type="character_sheet", character_id=CHARACTER, renders=(spec,)))
    said = [read(each) for each in await dispatcher.consume(*dispatcher.records(stored()))]
    (ready,) = [each for each in said if isinstance(each, JobEvent) and each.event == "image_ready"]
    (sheet,) = [each for each in said if isinstance(each, CharacterSheetCompleted)]
    assert ready.image is not None
    assert (ready.image.caption, ready.character_id) == ("{trigger}, front view", CHARACTER)
    assert sheet.captions == ("{trigger}, front view",)


async def test_each_message_goes_out_under_the_key_that_keeps_its_order() -> None:
    dispatcher = Dispatcher()
    plan = a_plan(renders=(a_spec(0), a_spec(1, face=f"{JOB}/0")))
    keys = {(each.topic, each.key) for each in await dispatcher.consume(*dispatcher.records(plan))}
    assert keys == {
        ("job.events.v1", JOB),
        ("render.requested.modal.v1", f"{JOB}/0"),
        ("render.requested.fal.v1", f"{JOB}/1"),
    }


async def test_a_crash_before_the_commit_publishes_the_same_bytes_again() -> None:
    dispatcher = Dispatcher()
    records = dispatcher.records(a_plan(images=2), stored(0))
    first = await dispatcher.consume(*records)
    job = dispatcher.job
    dispatcher.now += timedelta(seconds=30)
    assert await dispatcher.consume(*records) == first
    assert dispatcher.job == job


async def test_a_crash_before_the_publish_loses_nothing() -> None:
    dispatcher = Dispatcher()
    records = dispatcher.records(a_plan())
    dispatcher.sender.failures = [TransientError("the broker is away")] * 10
    assert await dispatcher.consume(*records) == []
    assert dispatcher.job.seq == 1, "it is written, but nobody has heard of it"
    assert dispatcher.consumer.committed == {}
    dispatcher.sender.failures = []
    assert [in_short(each) for each in await dispatcher.consume(*records)] == ["accepted 1", "modal: /0/1"]


async def test_the_numbered_events_stay_in_the_document_as_they_were_said() -> None:
    dispatcher = Dispatcher()
    said = await dispatcher.consume(*dispatcher.records(a_plan(), progressed(), stored()))
    events = [message for each in said if isinstance(message := read(each), JobEvent)]
    assert list(dispatcher.job.events) == [event for event in events if event.event != "progressed"]


async def test_commands_are_dropped_from_the_document_once_they_are_safely_said() -> None:
    dispatcher = Dispatcher()
    await dispatcher.hear(a_plan(images=3))
    await dispatcher.hear(refused(0), refused(1))
    kept = [(cause.topic, len(cause.outputs)) for cause in dispatcher.job.handled]
    assert kept == [("generation.planned.v1", 4), ("render.failed.v1", 2), ("render.failed.v1", 1)]
    await dispatcher.hear(failed(2))
    kept = [(cause.topic, len(cause.outputs)) for cause in dispatcher.job.handled]
    assert kept == [("generation.planned.v1", 4), ("render.failed.v1", 0)]


async def test_at_its_end_a_job_keeps_what_it_told_but_no_command() -> None:
    dispatcher = Dispatcher()
    plan, one, two = dispatcher.records(a_plan(images=2), stored(0), stored(1))
    said = await dispatcher.consume(plan, one, two)
    assert len(said) == 7
    topics = [message.topic for cause in dispatcher.job.handled for message in cause.outputs]
    assert topics == ["job.events.v1"] * 5
    again = await dispatcher.consume(plan, one, two)
    assert again == [each for each in said if not each.topic.startswith("render.")]


async def test_the_commands_that_stop_what_runs_are_said_again_with_the_end_they_belong_to() -> None:
    dispatcher = Dispatcher()
    await dispatcher.hear(a_plan(images=2))
    (cancel,) = dispatcher.records(a_cancel())
    said = await dispatcher.consume(cancel)
    assert [each.topic for each in said].count("render.cancel.modal.v1") == 2
    assert await dispatcher.consume(cancel) == said


async def test_a_cancel_of_another_tenant_does_not_hide_the_owners() -> None:
    dispatcher = Dispatcher()
    await dispatcher.hear(a_plan())
    assert await dispatcher.hear(a_cancel(tenant="other")) == []
    assert (await dispatcher.hear(a_cancel()))[-1] == "failed 3"


async def test_a_conflicting_plan_goes_aside_and_the_first_job_goes_on() -> None:
    dispatcher = Dispatcher()
    await dispatcher.hear(a_plan())
    said = await dispatcher.hear(a_plan(request_hash="def"), stored())
    assert said == ["dead-letters.v1", "started 2", "image_ready 3", "completed 4"]
    assert [letter.reason for letter in dispatcher.sender.letters()] == ["job_id_conflict"]


async def test_poison_on_any_of_its_topics_does_not_stop_the_dispatcher() -> None:
    dispatcher = Dispatcher()
    (plan,) = dispatcher.records(a_plan())
    poison = [
        raw_record(topic_of(message), b"{", offset=next(dispatcher._offsets))
        for message in (a_plan(), a_rejection(), a_cancel(), progressed(), failed(), stored(), due(START))
    ]
    said = await dispatcher.consume(*poison, plan)
    assert [in_short(each) for each in said[-2:]] == ["accepted 1", "modal: /0/1"]
    assert len(dispatcher.sender.letters()) == 7


async def test_two_dispatchers_at_once_say_each_event_once() -> None:
    dispatcher, other = Dispatcher(), Dispatcher()
    await dispatcher.hear(a_plan(images=2))
    other.jobs.put(JOB, dispatcher.job)
    await other.hear(stored(0))
    dispatcher.jobs.rival({JOB: other.job})
    assert await dispatcher.hear(stored(1)) == ["image_ready 4", "completed 5"]


async def test_all_that_a_job_says_and_keeps_belongs_to_the_trace_of_its_request() -> None:
    dispatcher = Dispatcher()
    said = await dispatcher.consume(*dispatcher.records(a_plan()))
    trace_id = TRACE.split("-")[1]
    traces: set[Any] = {dict(each.headers)["traceparent"].decode().split("-")[1] for each in said}
    assert traces == {trace_id}
    assert dispatcher.job.trace is not None
    assert dispatcher.job.trace.split("-")[1] == trace_id
