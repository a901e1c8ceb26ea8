"""Kafka is killed under the running platform: services wait, continue by themselves and lose nothing."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from contracts.jobs import JobEvent
from deploy.local.services import SERVICES
from deploy.local.stack import Stack, StackOptions
from tests.e2e.platform import CHARACTER, Platform, platform_of

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

PROVIDERS = ("modal", "comfyui", "fal")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """Yield a client of a stack whose own broker can be killed."""
    state = tmp_path_factory.mktemp("stack")
    options = StackOptions(state=state, brokers=1, environment={"FAL_GRACE_SECONDS": "20"})
    async with Stack(options) as stack, platform_of(stack) as client:
        yield client


async def several_jobs(platform: Platform) -> list[str]:
    for name in PROVIDERS:
        await platform.behave(name, latency_seconds=0.5, tiny=True, concurrency=4)
    return [
        await platform.publish({"type": "base_image", "character": CHARACTER, "provider": provider})
        for provider in PROVIDERS
        for _ in range(3)
    ]


async def ready(platform: Platform, name: str, seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while (await platform.http.get(f"{platform.stack.addresses[name]}/health/ready")).status_code != 200:
            await asyncio.sleep(0.2)


def numbered(platform: Platform, job_id: str) -> list[int]:
    return sorted({event.seq for event in platform.events[job_id] if event.event != "progressed"})


async def test_jobs_complete_although_the_broker_is_killed_and_no_service_is_restarted(
    platform: Platform,
) -> None:
    before = {name: platform.stack.processes[name].pid for name in SERVICES}
    jobs = await several_jobs(platform)
    await platform.received(jobs[0], "accepted")
    await platform.stack.broker.kill()
    await asyncio.sleep(3)
    await platform.stack.broker.start()
    jobs.append(await platform.publish({"type": "base_image", "character": CHARACTER, "provider": "modal"}))
    ends: list[JobEvent] = await platform.ended(*jobs, seconds=240)
    assert [end.event for end in ends] == ["completed"] * 10
    assert all(numbered(platform, job_id) == list(range(1, 7)) for job_id in jobs)
    for name in SERVICES:
        await ready(platform, name)
    assert {name: platform.stack.processes[name].pid for name in SERVICES} == before


async def test_a_job_posted_while_the_broker_is_away_completes_when_it_is_back(platform: Platform) -> None:
    await platform.stack.broker.kill()
    try:
        answer = await platform.post("/v1/base-images", {"character": CHARACTER, "provider": "modal"})
    finally:
        await platform.stack.broker.start()
    assert answer.status_code == 202
    (end,) = await platform.ended(answer.json()["id"], seconds=180)
    assert end.event == "completed"


async def test_nothing_was_submitted_twice_meanwhile(platform: Platform) -> None:
    for provider in PROVIDERS:
        sent = [each["our_id"] for each in await platform.submissions(provider)]
        assert len(sent) == len(set(sent)), provider


async def test_metrics_and_liveness_answer_while_the_broker_is_away(platform: Platform) -> None:
    await platform.stack.broker.kill()
    try:
        async with httpx.AsyncClient(timeout=10.0) as http:
            for name in SERVICES:
                address = platform.stack.addresses[name]
                assert (await http.get(f"{address}/health/live")).status_code == 200
                assert (await http.get(f"{address}/metrics")).status_code == 200
    finally:
        await platform.stack.broker.start()
