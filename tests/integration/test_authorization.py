"""Apache Kafka with an authorizer: a topic that may not be read is named, and the others are read."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer
from prometheus_client.parser import text_string_to_metric_families

from contracts.generation import GenerationPlanned, GenerationRejected
from contracts.jobs import JobEvent
from deploy.local.stack import Stack, StackOptions
from shared.clock import now
from shared.envelope import encode
from shared.ids import uuid7
from shared.kafka.publisher import Publisher
from tests.fakes.builders import a_plan, a_rejection
from tests.integration.acls import deny_everything, deny_reading, remove_entries, restart_with_authorizer
from tests.integration.workers import kafka_settings

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

DENIED, OPEN = GenerationRejected.topic, GenerationPlanned.topic
CAUSE = "TopicAuthorizationFailedError"
PROBLEM = "consumer dispatcher"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    state = tmp_path_factory.mktemp("authorized")
    options = StackOptions(state=state, brokers=1, stores=("mongo",), simulators=(), services=())
    async with Stack(options) as stack:
        await restart_with_authorizer(stack)
        await stack.start_service("dispatcher")
        yield stack


class Upstream:
    """Publishes plans and rejections, and reads their events."""

    def __init__(self, publisher: Publisher, events: AIOKafkaConsumer) -> None:
        self._publisher = publisher
        self._events = events
        self._seen: set[str] = set()

    async def publish(self, message: GenerationPlanned | GenerationRejected) -> str:
        await self._publisher.send([encode(message, source="test", trace=None)])
        return message.job_id

    async def saw_event_of(self, job_id: str) -> None:
        async with asyncio.timeout(60):
            while job_id not in self._seen:
                record = await self._events.getone()
                self._seen.add(JobEvent.model_validate_json(record.value).job_id)


@asynccontextmanager
async def upstream_of(stack: Stack) -> AsyncIterator[Upstream]:
    events = AIOKafkaConsumer(JobEvent.topic, bootstrap_servers=stack.environment["KAFKA_BOOTSTRAP"])
    await events.start()
    try:
        async with Publisher("test", kafka_settings(stack)) as publisher:
            yield Upstream(publisher, events)
    finally:
        await events.stop()


def plan() -> GenerationPlanned:
    return a_plan(job_id=uuid7(), requested_at=now())


def rejection() -> GenerationRejected:
    return a_rejection(job_id=uuid7(), requested_at=now())


async def readiness(stack: Stack) -> tuple[int, str]:
    """Return the status of the dispatcher's /health/ready, and the problem of its consumer."""
    async with httpx.AsyncClient(base_url=stack.addresses["dispatcher"]) as http:
        answer = await http.get("/health/ready")
    return answer.status_code, answer.json()["problems"].get(PROBLEM, "")


async def metric(stack: Stack, name: str, **labels: str) -> float:
    """Return a metric of the consumer of the dispatcher's main group."""
    async with httpx.AsyncClient(base_url=stack.addresses["dispatcher"]) as http:
        text = (await http.get("/metrics")).text
    wanted = {"group": "dispatcher"} | labels
    samples = (each for family in text_string_to_metric_families(text) for each in family.samples)
    return sum(each.value for each in samples if each.name == name and wanted.items() <= each.labels.items())


def logged(stack: Stack, event: str) -> list[dict[str, Any]]:
    """Return the dispatcher's log lines of one kind."""
    lines = (stack.folder.logs / "dispatcher.log").read_text().splitlines()
    read = (json.loads(line) for line in lines if line.startswith("{"))
    return [line for line in read if line["event"] == event]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("deny", [deny_reading, deny_everything])
async def test_a_topic_that_may_not_be_read_is_named_and_the_others_are_read(
    stack: Stack, deny: Callable[[Stack, str], Awaitable[None]]
) -> None:
    lines_before = len(logged(stack, "consumer_cannot_read"))

    async def is_ready() -> bool:
        return await readiness(stack) == (200, "")

    async def is_named() -> bool:
        status, problem = await readiness(stack)
        return status == 503 and DENIED in problem and OPEN not in problem

    async with upstream_of(stack) as upstream:
        await until(is_ready)
        await upstream.saw_event_of(await upstream.publish(rejection()))
        errors_before = await metric(stack, "imagegen_consumer_errors_total", cause=CAUSE)
        await deny(stack, DENIED)
        await until(is_named)
        unread = await upstream.publish(rejection()) if deny is deny_reading else None
        for _ in range(5):
            await upstream.saw_event_of(await upstream.publish(plan()))
        assert await is_named(), "it stays named while the others are read"
        assert await metric(stack, "imagegen_consumer_errors_total", cause=CAUSE) > errors_before
        assert await metric(stack, "imagegen_consumer_problems") >= 1
        lines = logged(stack, "consumer_cannot_read")[lines_before:]
        assert CAUSE in {line["cause"] for line in lines}
        assert all(DENIED in line["error"] for line in lines)
        assert len(lines) <= 8, "once for each partition, and not for each fetch"

        await remove_entries(stack, DENIED)
        if unread:
            await upstream.saw_event_of(unread)
        await upstream.saw_event_of(await upstream.publish(rejection()))
        await until(is_ready)
        assert await metric(stack, "imagegen_consumer_problems") == 0
        assert logged(stack, "consumer_reads_again")
