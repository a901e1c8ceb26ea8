"""Killing a process of any service in the middle of its work loses nothing."""

import signal
from uuid import NAMESPACE_URL, uuid5

import pytest

from deploy.local.services import SERVICES
from tests.e2e.platform import CHARACTER, Platform

PROVIDERS = ("modal", "comfyui", "fal")

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


@pytest.mark.timeout(400)
async def test_jobs_complete_although_a_process_of_each_service_is_killed(platform: Platform) -> None:
    """Kill one process after the other, each with jobs of every provider in flight."""
    for provider in PROVIDERS:
        await platform.behave(provider, latency_seconds=0.5, tiny=True, concurrency=4)
    killed: dict[str, str] = {}
    for service in SERVICES:
        jobs = [
            await platform.publish({"type": "base_image", "character": CHARACTER, "provider": provider})
            for provider in PROVIDERS * 2
        ]
        await platform.received(jobs[-1], "accepted", "completed")
        await platform.stack.kill(service, signal.SIGKILL)
        late = await platform.publish({"type": "base_image", "character": CHARACTER, "provider": "modal"})
        killed |= dict.fromkeys([*jobs, late], service)
        await platform.stack.wait_ready(service)
    ends = await platform.ended(*killed, seconds=300)
    failed = {killed[end.job_id]: end.error for end in ends if end.event != "completed"}
    assert failed == {}, "by the service that was killed meanwhile"
    for job_id in killed:
        numbered = {event.seq for event in platform.events[job_id] if event.event != "progressed"}
        assert numbered == set(range(1, 7))


async def test_every_submission_is_in_the_ledger_and_none_that_a_lookup_finds_is_sent_twice(
    platform: Platform,
) -> None:
    ledger = await platform.ledger()
    intents = {str(uuid5(NAMESPACE_URL, f"imagegen:{entry['_id']}")): entry for entry in ledger}
    for provider in ("modal", "comfyui"):
        submission_log = await platform.submissions(provider)
        assert submission_log
        assert {entry["our_id"] for entry in submission_log} <= set(intents)
        assert {entry["asked"] for entry in submission_log} == {1}
        assert len({entry["our_id"] for entry in submission_log}) == len(submission_log)
    fal = sum(entry["submissions"] for entry in ledger if entry["provider"] == "fal")
    assert 0 < len(await platform.submissions("fal")) <= fal


async def test_a_render_is_retried_only_after_a_failure_or_an_unknown_outcome(
    platform: Platform,
) -> None:
    ledger = {entry["_id"]: entry for entry in await platform.ledger()}
    again = [attempt_id for attempt_id in ledger if not attempt_id.endswith("/1")]
    for attempt_id in again:
        render_id, _, n = attempt_id.rpartition("/")
        assert ledger[f"{render_id}/{int(n) - 1}"]["state"] == "failed"
