"""Several instances of every service share the work."""

import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio

from contracts.jobs import JobEvent
from deploy.local.services import SERVICES
from deploy.local.stack import Stack, StackOptions
from tests.e2e.platform import CHARACTER, Platform, platform_of

PROVIDERS = ("modal", "comfyui", "fal")

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> AsyncIterator[Platform]:
    options = StackOptions(
        state=tmp_path_factory.mktemp("stack"),
        bootstrap=kafka,
        latency_seconds=0.2,
        instances=dict.fromkeys(SERVICES, 2),
    )
    async with Stack(options) as stack, platform_of(stack) as client:
        yield client


async def test_two_of_each_service_complete_every_job_once(platform: Platform) -> None:
    for name in PROVIDERS:
        await platform.behave(name, tiny=True, concurrency=8)
    jobs = [await platform.publish({"type": "base_image", "character": CHARACTER}) for _ in range(20)]
    ends = await platform.ended(*jobs, seconds=180)
    assert [end.event for end in ends] == ["completed"] * 20
    submissions = [s["our_id"] for s in await platform.submissions("modal")]
    assert len(submissions) == len(set(submissions)) == 60


async def test_a_rolling_restart_submits_nothing_twice(platform: Platform) -> None:
    """Send SIGTERM to one instance of each service under load: each exits cleanly within ten seconds."""
    for provider in PROVIDERS:
        await platform.behave(provider, tiny=True, concurrency=8, latency_seconds=2.0)
    request = {"type": "base_image", "character": CHARACTER, "count": 1}
    jobs, in_time = list[str](), list[str]()
    for name in SERVICES:
        jobs += [await platform.publish(request | {"provider": provider}) for provider in PROVIDERS * 2]
        await platform.received(jobs[-1], "accepted")
        with suppress(TimeoutError):  # ten seconds, on a busy machine
            await platform.stack.kill(f"{name}-2", signal.SIGTERM)
            in_time.append(name)
    assert len(in_time) >= len(SERVICES) - 2, in_time
    ends = await platform.ended(*jobs, seconds=120)
    assert [end.event for end in ends] == ["completed"] * len(jobs)
    published_ends = Counter(
        (each.job_id, each.seq) for job_id in jobs for each in numbered(platform, job_id)
    )
    again = {each: times - 1 for each, times in published_ends.items() if times > 1}
    assert sum(again.values()) <= len(SERVICES), "more than a batch in hand when a partition moved"
    submissions = [each["our_id"] for name in PROVIDERS for each in await platform.submissions(name)]
    assert len(submissions) == len(set(submissions))
    ledger = [each for each in await platform.ledger() if each["job_id"] in jobs]
    assert len(ledger) == len(jobs), "an attempt was given up although its process said goodbye"


def numbered(platform: Platform, job_id: str) -> list[JobEvent]:
    return [event for event in platform.events[job_id] if event.event != "progressed"]
