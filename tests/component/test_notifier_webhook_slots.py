"""Slots of webhooks: shares of hosts, endpoints that back off, and the end of the process."""

import asyncio
from datetime import timedelta

import pytest

from contracts.jobs import JobEvent
from services.notifier.endpoints import FAILURES_TO_BACK_OFF, new_endpoint
from services.notifier.webhook_dispatcher import PAGE_PER_SLOT, STOP_SECONDS
from tests.fakes.notifier import NotifierHarness, a_webhook_story, ids_of
from tests.fakes.waiting import background, until

URL = "https://shop.example/hook"


@pytest.fixture
def harness() -> NotifierHarness:
    return NotifierHarness()


async def test_one_host_does_not_take_all_slots(harness: NotifierHarness) -> None:
    harness.dispatcher = harness.another_dispatcher(concurrency=4)
    slow = [a_webhook_story(harness, "accepted", url="https://slow.example") for _ in range(10)]
    quick = a_webhook_story(harness, "accepted")
    await harness.handle(*(event for story in slow for event in story), *quick)
    await harness.dispatcher.dispatch_due()
    await harness.dispatcher.idle()
    assert ids_of(*quick)[0] in harness.receiver.got[:2]
    assert len(harness.receiver.got) == 2 + 4, "those that were found waiting go on without another look"


SLOW = "https://slow.example"


async def crowded(harness: NotifierHarness) -> tuple[JobEvent, ...]:
    """Make more due at one address than a page holds, and after that one event for another."""
    harness.dispatcher = harness.another_dispatcher(concurrency=4)
    for _ in range(5 * PAGE_PER_SLOT):
        await harness.handle(*a_webhook_story(harness, "accepted", url=SLOW))
    quick = a_webhook_story(harness, "accepted")
    await harness.handle(*quick)
    return quick


async def test_an_endpoint_that_does_not_answer_delays_no_other(harness: NotifierHarness) -> None:
    harness.receiver.slow[SLOW] = asyncio.Event()
    quick = await crowded(harness)
    async with background(harness.dispatcher.run):
        await until(lambda: ids_of(*quick)[0] in harness.receiver.got)
    assert len(harness.receiver.got) == 2


async def test_deliveries_to_an_endpoint_that_backs_off_delay_no_other(harness: NotifierHarness) -> None:
    until_then = harness.time + timedelta(hours=1)
    endpoint = new_endpoint("acme", SLOW)
    await harness.endpoints.save(
        endpoint.model_copy(update={"state": "backing_off", "backoff_until": until_then})
    )
    quick = await crowded(harness)
    async with background(harness.dispatcher.run):
        await until(lambda: harness.receiver.got == ids_of(*quick), seconds=0.9)


async def test_waiting_deliveries_are_not_sent_when_their_endpoint_backs_off(
    harness: NotifierHarness,
) -> None:
    harness.receiver.will("https://slow.example", *[500] * 20)
    stories = [a_webhook_story(harness, "accepted", url="https://slow.example") for _ in range(10)]
    await harness.handle(*(event for story in stories for event in story))
    await harness.dispatcher.dispatch_due()
    await harness.dispatcher.idle()
    tried = len(harness.receiver.got)
    assert FAILURES_TO_BACK_OFF <= tried <= FAILURES_TO_BACK_OFF + 1, "but for one that was on its way"


async def test_a_backlog_to_an_endpoint_that_answers_is_delivered_soon(harness: NotifierHarness) -> None:
    await crowded(harness)
    for _ in range(12):
        async with background(harness.dispatcher.run):
            await asyncio.sleep(0.5)
        harness.wait(1)
    assert {delivery.state for delivery in harness.deliveries.kept.values()} == {"delivered"}


async def test_a_stopping_process_waits_for_a_post_in_flight(harness: NotifierHarness) -> None:
    harness.receiver.slow[URL] = asyncio.Event()
    await harness.handle(*a_webhook_story(harness, "accepted"))
    async with background(harness.dispatcher.run):
        await until(lambda: harness.receiver.got)
        asyncio.get_running_loop().call_later(STOP_SECONDS - 1, harness.receiver.slow[URL].set)
    [delivery] = harness.deliveries.kept.values()
    assert delivery.state == "delivered"


async def test_a_post_cancelled_at_the_stop_is_repeated_by_another_instance_at_once(
    harness: NotifierHarness,
) -> None:
    harness.receiver.slow[URL] = asyncio.Event()
    story = a_webhook_story(harness, "accepted", "started")
    await harness.handle(*story)
    async with background(harness.dispatcher.run):
        await until(lambda: harness.receiver.got)
    harness.receiver.slow.clear()
    other = harness.another_dispatcher()
    await other.dispatch_due()
    await other.idle()
    assert harness.receiver.got == ids_of(story[0], *story)


async def test_an_endpoint_that_fails_for_many_jobs_backs_off_and_then_gets_one_probe(
    harness: NotifierHarness,
) -> None:
    harness.receiver.will(URL, *[500] * 6)
    stories = [a_webhook_story(harness, "accepted") for _ in range(8)]
    other = a_webhook_story(harness, "accepted", url="https://other.example")
    await harness.handle(*(story[0] for story in stories[:5]))
    await harness.deliver()
    await harness.deliver()
    await harness.deliver()
    tried = len(harness.receiver.got)
    assert tried == 5
    await harness.handle(*(story[0] for story in stories[5:]), *other)
    harness.wait(29)
    await harness.deliver()
    assert harness.receiver.got[tried:] == ids_of(*other), "only the endpoint that backs off is left alone"
    harness.wait(2)
    await harness.deliver()
    assert len(harness.receiver.got) == tried + 2, "one probe, not eight"
    harness.wait(61)
    for _ in range(10):
        await harness.deliver()
        harness.wait(1)
    states = {harness.deliveries.kept[ids_of(*story)[0]].state for story in stories}
    assert states == {"delivered"}
    assert [endpoint.state for endpoint in harness.endpoints.kept.values()] == ["up"]
