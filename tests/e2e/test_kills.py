"""A process of any service is killed in the middle of its work and nothing happens."""

import signal

import pytest

from deploy.local.services import SERVICES
from tests.e2e.platform import CHARACTER, Platform

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


@pytest.mark.parametrize("service", SERVICES)
async def test_jobs_complete_although_a_process_is_killed(platform: Platform, service: str) -> None:
    for name in ("modal", "comfyui", "fal"):
        await platform.behave(name, latency_seconds=0.5, tiny=True, concurrency=4)
    jobs = [
        await platform.publish({"type": "base_image", "character": CHARACTER, "provider": provider})
        for provider in ("modal", "comfyui", "fal")
        for _ in range(3)
    ]
    await platform.heard(jobs[-1], "accepted", "completed")
    await platform.stack.kill(service, signal.SIGKILL)
    late = await platform.publish({"type": "base_image", "character": CHARACTER, "provider": "modal"})
    ends = await platform.ended(*jobs, late, seconds=90)
    assert [end.event for end in ends] == ["completed"] * 10
    for job_id in jobs:
        numbered = {event.seq for event in platform.events[job_id] if event.event != "progressed"}
        assert numbered == set(range(1, 7))
    await platform.stack.wait_ready(service)


async def test_no_provider_that_can_be_asked_got_a_submission_twice(platform: Platform) -> None:
    for provider in ("modal", "comfyui"):
        ours = [submission["our_id"] for submission in await platform.submissions(provider)]
        assert ours
        assert len(ours) == len(set(ours))
