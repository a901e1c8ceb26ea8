"""Every accepted job ends: if its document cannot be stored, it fails with one that can."""

from collections.abc import Iterator
from itertools import count
from typing import cast

import pytest
from aiokafka import TopicPartition
from structlog.testing import capture_logs

from contracts.base import Message
from contracts.generation import Reason
from contracts.jobs import JobEvent
from services.dispatcher.handlers import handlers
from services.dispatcher.job_record import JobRecord
from shared.mongo import Collection
from shared.mongo.documents import MongoDocuments
from tests.fakes.builders import JOB, POLICIES, START, a_plan, a_rejection, a_spec, refused
from tests.fakes.dispatcher import FakeCharacterReader
from tests.fakes.documents import FakeCollection
from tests.fakes.kafka import FakeConsumer, FakeSender, a_record
from tests.fakes.subscriptions import FakeKafka

TOO_LARGE = "x" * 40_000
BEYOND_BSON = {"1": {"inputs": {"n": 10**40}}}


class DispatcherHarness:
    """A dispatcher whose collection encodes documents like the driver."""

    def __init__(self) -> None:
        self.collection = FakeCollection()
        self.collection.largest_document = 32_000
        self.jobs: MongoDocuments[JobRecord] = MongoDocuments(cast(Collection, self.collection), JobRecord)
        self.sender = FakeSender([])
        self._offsets = count()
        self._kafka = FakeKafka(self.sender)
        handlers(self._kafka.subscribe, self.jobs, FakeCharacterReader(), POLICIES, lambda: START)

    async def receive(self, *messages: Message) -> None:
        records = [a_record(message, offset=next(self._offsets)) for message in messages]
        consumer = FakeConsumer([], {TopicPartition(each.topic, each.partition) for each in records})
        await self._kafka.deliver(records, consumer)

    async def job(self, job_id: str = JOB) -> JobRecord:
        return (await self.jobs.load([job_id]))[job_id]

    def events(self) -> list[str]:
        sent = [each for each in self.sender.sent if each.topic == JobEvent.topic]
        return [JobEvent.model_validate_json(each.body).event for each in sent]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.mark.parametrize(
    "message",
    [
        a_plan(workflow=BEYOND_BSON),
        a_plan(workflow={"1": {"a\0b": 1}}),
        a_plan(workflow={"1": TOO_LARGE}),
        a_rejection(reasons=(Reason(field="request", message=TOO_LARGE),)),
    ],
    ids=["number", "name", "size", "rejection"],
)
async def test_a_first_message_that_cannot_be_stored_ends_its_job_with_a_reason(message: Message) -> None:
    dispatcher = DispatcherHarness()
    await dispatcher.receive(message)
    job = await dispatcher.job()
    assert job.status == "failed"
    assert job.error is not None
    assert "cannot be stored" in job.error.message
    assert dispatcher.events() == ["failed"]


async def test_a_later_message_that_cannot_be_stored_ends_its_job_and_cancels_what_runs() -> None:
    dispatcher = DispatcherHarness()
    await dispatcher.receive(a_plan())
    await dispatcher.receive(refused(message=TOO_LARGE))
    job = await dispatcher.job()
    assert (job.status, job.error and job.error.code) == ("failed", "not_storable")
    assert dispatcher.events() == ["accepted", "image_failed", "failed"]
    assert "render.cancel.modal.v1" in [each.topic for each in dispatcher.sender.sent]


async def test_a_message_that_cannot_be_stored_leaves_the_others_of_its_batch_alone() -> None:
    dispatcher = DispatcherHarness()
    other = "0195940a-5b40-7d3e-b0c4-8a6b2d7e9f02"
    await dispatcher.receive(a_plan(), a_plan(job_id=other, workflow=BEYOND_BSON))
    assert (await dispatcher.job()).status == "pending"
    assert (await dispatcher.job(other)).status == "failed"


async def test_a_seed_of_comfyui_in_a_workflow_is_stored_exactly() -> None:
    dispatcher = DispatcherHarness()
    workflow = {"5": {"inputs": {"seed": 2**64 - 1}}}
    await dispatcher.receive(a_plan(workflow=workflow, renders=(a_spec(seed=2**64 - 1),)))
    job = await dispatcher.job()
    assert job.workflow == workflow
    assert job.renders[0].spec.seed == 2**64 - 1
    assert job.status == "pending"
