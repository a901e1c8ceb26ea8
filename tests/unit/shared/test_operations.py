"""Endpoints for operators answer from the start, whether or not the broker is connected."""

from collections.abc import AsyncIterator, Sequence

import httpx
import pytest_asyncio

from contracts.generation import GenerationCancel
from contracts.jobs import JobDue
from shared.envelope import Outgoing, Received
from shared.http.operations import is_operational, operations
from shared.kafka.consumers import Consumers
from shared.kafka.publisher import Publisher
from shared.observability.health import Health
from shared.settings import KafkaSettings

NOWHERE = KafkaSettings(bootstrap="127.0.0.1:9")


@pytest_asyncio.fixture
async def health() -> Health:
    return Health()


@pytest_asyncio.fixture
async def http(health: Health) -> AsyncIterator[httpx.AsyncClient]:
    consumers = Consumers(Publisher("dispatcher", NOWHERE), NOWHERE, health, 1.0)

    @consumers.subscribe(GenerationCancel | JobDue, group="jobs")
    async def advance(batch: Sequence[Received[GenerationCancel | JobDue]]) -> list[Outgoing]:
        return []

    app = operations("dispatcher", consumers.broker, health)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://operations") as client:
        yield client


async def test_readiness_names_each_problem(http: httpx.AsyncClient, health: Health) -> None:
    answer = await http.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json() == {"status": "degraded", "problems": {"consumer jobs": "joining group jobs"}}
    assert (await http.get("/health/live")).json() == {"status": "alive"}


async def test_a_problem_that_is_not_vital_leaves_the_process_ready(health: Health) -> None:
    async def away() -> str | None:
        return "away"

    health.add("optional", away, vital=False)
    problems = await health.problems()
    assert (problems, health.ready(problems)) == ({"optional": "away"}, True)


async def test_metrics_are_in_the_prometheus_format(http: httpx.AsyncClient) -> None:
    answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "# TYPE imagegen_messages_handled_total counter" in answer.text


async def test_the_asyncapi_document_has_the_topics_and_schemas_of_the_subscriptions(
    http: httpx.AsyncClient,
) -> None:
    document = (await http.get("/asyncapi.json")).json()
    assert {channel["address"] for channel in document["channels"].values()} == {
        GenerationCancel.topic,
        JobDue.topic,
    }
    assert {"GenerationCancel", "JobDue"} <= set(document["components"]["schemas"])
    assert (await http.get("/asyncapi")).headers["content-type"].startswith("text/html")


async def test_nothing_can_be_published_from_the_page(http: httpx.AsyncClient) -> None:
    assert (await http.post("/asyncapi/try", json={})).status_code == 404
    assert not is_operational("/asyncapi/try")
