"""`make down` with jobs in flight, then `make up`: every job ends with all its images.

The simulated providers lose their work, so their renders are submitted again after the grace period.
"""

import asyncio
from pathlib import Path

import pytest

from deploy.local.stack import Stack, StackOptions
from tests.e2e.platform import CHARACTER, Platform, platform_of

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]

PROVIDERS = ("modal", "comfyui", "fal")
IMAGES = 3


async def all_at_their_provider(platform: Platform) -> None:
    """Wait until every provider has work."""
    async with asyncio.timeout(60):
        for provider in PROVIDERS:
            while not await platform.submissions(provider):
                await asyncio.sleep(0.1)


async def test_jobs_in_flight_complete_after_a_stop_and_a_start_on_the_same_folder(
    tmp_path: Path,
) -> None:
    options = StackOptions(
        state=tmp_path / "state",
        brokers=1,
        latency_seconds=20.0,
        environment={"FAL_GRACE_SECONDS": "10", "MODAL_GRACE_SECONDS": "10"},
    )
    async with Stack(options) as stack, platform_of(stack) as before:
        for provider in PROVIDERS:
            await before.behave(provider, tiny=True, concurrency=2)
        request = {"type": "base_image", "character": CHARACTER, "count": IMAGES}
        jobs = [await before.publish(request | {"provider": each}) for each in PROVIDERS]
        for job_id in jobs:
            await before.received(job_id, "accepted")
        await all_at_their_provider(before)
        late = await before.publish(request)  # it may be unread before the stop
    assert not [event for job_id in jobs for event in before.events[job_id] if event.event == "image_ready"]

    async with Stack(options) as stack, platform_of(stack) as after:
        for provider in PROVIDERS:
            await after.behave(provider, tiny=True, concurrency=8, latency_seconds=0.2)
        ends = await after.ended(*jobs, late, seconds=240)
        assert [(end.event, end.delivered) for end in ends] == [("completed", IMAGES)] * 4
        for job_id in (*jobs, late):
            seqs = [event.seq for event in after.events[job_id] if event.event != "progressed"]
            assert sorted(set(seqs)) == list(range(1, IMAGES + 4)), "events of before and after, without gaps"
