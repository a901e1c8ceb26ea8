"""Health answers from the first second; a process without the broker reports that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from shared.errors import StartupError
from shared.service import Service
from shared.settings import KafkaSettings, ProcessSettings

NOWHERE = KafkaSettings(bootstrap="127.0.0.1:9", startup_seconds=5.0)


@asynccontextmanager
async def _asking(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(service.front)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        yield http


async def test_a_service_with_an_outbox_works_without_the_broker_and_reports_that() -> None:
    service = Service("api", NOWHERE, ProcessSettings(), wait_for_broker=False)
    async with service, _asking(service) as http:
        await asyncio.sleep(12)
        ready = (await http.get("/health/ready")).json()
    assert list(ready["problems"]) == ["start", "kafka"], "it has not been run yet"


async def test_a_service_that_cannot_reach_the_broker_gives_up_and_names_it() -> None:
    with pytest.raises(StartupError, match=r"127\.0\.0\.1:9"):
        async with Service("dispatcher", NOWHERE, ProcessSettings()):
            pass


async def test_health_reports_that_the_broker_is_waited_for() -> None:
    service = Service("dispatcher", NOWHERE, ProcessSettings())
    entering = asyncio.create_task(service.__aenter__())
    async with _asking(service) as http:
        while "Kafka" not in (await http.get("/v1/jobs")).text:
            await asyncio.sleep(0.01)
        live, ready = await http.get("/health/live"), await http.get("/health/ready")
        other, metrics = await http.get("/v1/jobs"), await http.get("/metrics")
    assert (live.status_code, ready.status_code, metrics.status_code) == (200, 503, 200)
    assert "waiting for Kafka at 127.0.0.1:9" in ready.json()["problems"]["start"]
    assert (other.status_code, other.headers["retry-after"]) == (503, "2")
    assert "waiting for Kafka at 127.0.0.1:9" in other.json()["detail"]
    with pytest.raises(StartupError):
        await entering


async def test_a_check_that_hangs_is_a_problem_and_does_not_hang_health() -> None:
    service = Service("api", NOWHERE, ProcessSettings(), wait_for_broker=False)

    async def hangs() -> str | None:
        await asyncio.sleep(3600)
        return None

    service.health.add("mongo", hangs)
    async with _asking(service) as http:
        ready = await http.get("/health/ready")
    assert ready.json()["problems"]["mongo"] == "no answer within 2 s"


async def test_an_address_that_is_taken_ends_the_start_with_one_clear_error() -> None:
    async with Service("api", NOWHERE, ProcessSettings(), wait_for_broker=False) as first:
        port = first.address.rpartition(":")[2]
        taken = Service("api", NOWHERE, ProcessSettings(http_port=int(port)), wait_for_broker=False)
        with pytest.raises(StartupError, match=f"cannot listen on 127.0.0.1:{port}"):
            await taken.__aenter__()
