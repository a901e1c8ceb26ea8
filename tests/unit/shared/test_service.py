"""A process that only publishes works without the broker, and says so."""

import asyncio

import httpx
import pytest

from shared.errors import StartupError
from shared.service import Service
from shared.settings import KafkaSettings, ProcessSettings
from tests.fakes.waiting import background

NOWHERE = KafkaSettings(bootstrap="127.0.0.1:9", startup_seconds=5.0)


async def test_who_has_an_outbox_works_while_the_broker_is_away_and_says_what_is_missing() -> None:
    service = Service("api", NOWHERE, ProcessSettings(), wait_for_broker=False)
    async with service, background(service._background[0]) as reaching:
        transport = httpx.ASGITransport(service.http)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
            ready = await http.get("/health/ready")
        await asyncio.sleep(12)
        assert not reaching.done(), "it goes on trying"
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert list(ready.json()["problems"]) == ["kafka"]


async def test_who_has_none_waits_for_the_broker_and_then_gives_up() -> None:
    with pytest.raises(StartupError, match=r"127\.0\.0\.1:9"):
        async with Service("dispatcher", NOWHERE, ProcessSettings()):
            pass
