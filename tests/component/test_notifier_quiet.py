"""A receiver's `Retry-After` delays all of its deliveries, and no others."""

import asyncio
from datetime import timedelta

import pytest

from services.notifier.deliveries import Delivery, Outcome
from services.notifier.webhook_dispatcher import WebhookDispatcher
from tests.fakes.notifier import NotifierHarness, a_webhook_story, ids_of

URL, OTHER = "https://shop.example/hook", "https://other.example/hook"


@pytest.fixture
def harness() -> NotifierHarness:
    return NotifierHarness()


@pytest.mark.parametrize("status", [429, 503])
async def test_a_delivery_is_not_retried_before_the_receivers_pause_is_over(
    harness: NotifierHarness, status: int
) -> None:
    harness.receiver.answers[URL] = [Outcome(status=status, retry_after=8)]
    story = a_webhook_story(harness, "accepted", "started")
    await harness.handle(*story)
    await harness.deliver()
    for _ in range(7):
        harness.wait(1)
        await harness.deliver()
    assert harness.receiver.got == ids_of(story[0])
    harness.wait(1)
    await harness.deliver()
    await harness.deliver()
    harness.wait(1)
    await harness.deliver()
    assert harness.receiver.got == ids_of(story[0], *story), "in order, once the pause is over"


async def test_all_deliveries_to_the_endpoint_wait_and_those_to_others_do_not(
    harness: NotifierHarness,
) -> None:
    harness.receiver.answers[URL] = [Outcome(status=429, retry_after=60)]
    first, second = a_webhook_story(harness, "accepted"), a_webhook_story(harness, "accepted")
    other = a_webhook_story(harness, "accepted", url=OTHER)
    await harness.handle(*first)
    await harness.deliver()
    await harness.handle(*second, *other)
    harness.wait(59)
    await harness.deliver()
    assert harness.receiver.got == ids_of(*first, *other)
    for _ in range(4):
        harness.wait(1)
        await harness.deliver()
    assert sorted(harness.receiver.got[2:]) == sorted(ids_of(*first, *second))


async def test_another_instance_respects_the_pause(harness: NotifierHarness) -> None:
    harness.receiver.answers[URL] = [Outcome(status=503, retry_after=60)]
    await harness.handle(*a_webhook_story(harness, "accepted"))
    await harness.deliver()
    await harness.handle(*a_webhook_story(harness, "accepted"))
    harness.wait(30)
    other = harness.another_dispatcher()
    await other.dispatch_due()
    await other.idle()
    assert len(harness.receiver.got) == 1


async def test_a_receiver_that_names_its_pauses_does_not_count_as_broken(harness: NotifierHarness) -> None:
    harness.receiver.answers[URL] = [Outcome(status=429, retry_after=8) for _ in range(8)]
    stories = [a_webhook_story(harness, "accepted") for _ in range(8)]
    await harness.handle(*(story[0] for story in stories))
    harness.dispatcher = harness.another_dispatcher(concurrency=32)
    harness.receiver.slow[URL] = asyncio.Event()
    await harness.dispatcher.dispatch_due()
    for _ in range(10):
        await asyncio.sleep(0)
    harness.receiver.slow[URL].set()
    await harness.dispatcher.idle()
    assert len(harness.receiver.got) == 8, "all were in flight at once"
    harness.wait(8)
    await harness.deliver()
    assert len(harness.receiver.got) == 9, (
        "one probe, after the receiver's pause and not after ours for failures"
    )
    for _ in range(12):
        harness.wait(1)
        await harness.deliver()
    assert {delivery.state for delivery in harness.deliveries.kept.values()} == {"delivered"}


class Busy:
    """A receiver that answers the first job with 429, and the others once `answered` is set."""

    def __init__(self, first: str, answered: asyncio.Event) -> None:
        self.got: list[str] = []
        self._first = first
        self._answered = answered

    async def post(self, delivery: Delivery) -> Outcome:
        self.got.append(delivery.id)
        if delivery.job_id == self._first:
            return Outcome(status=429, retry_after=60)
        await self._answered.wait()
        return Outcome(status=200)


@pytest.mark.parametrize("instances", [1, 2])
async def test_a_job_in_flight_stops_after_its_answer_when_its_endpoint_backs_off(
    harness: NotifierHarness, instances: int
) -> None:
    asks, goes_on = (
        a_webhook_story(harness, "accepted"),
        a_webhook_story(harness, "accepted", "started", "completed"),
    )
    answered = asyncio.Event()
    receiver = Busy(asks[0].job_id, answered)
    dispatchers = [
        WebhookDispatcher(harness.deliveries, harness.endpoints, receiver.post, harness.now, concurrency=8)
        for _ in range(instances)
    ]
    await harness.handle(*goes_on)
    await dispatchers[0].dispatch_due()
    await asyncio.sleep(0)
    await harness.handle(*asks)
    await dispatchers[-1].dispatch_due()
    while not harness.endpoints.kept:
        await asyncio.sleep(0)
    answered.set()
    for dispatcher in dispatchers:
        await dispatcher.idle()
    assert sorted(receiver.got) == sorted(ids_of(asks[0], goes_on[0]))
    [endpoint] = harness.endpoints.kept.values()
    assert endpoint.backoff_until == harness.time + timedelta(seconds=60), "the 200 that came later keeps it"
    harness.wait(59)
    await dispatchers[0].dispatch_due()
    await dispatchers[0].idle()
    assert len(receiver.got) == 2
    harness.wait(1)
    await dispatchers[0].dispatch_due()
    await dispatchers[0].idle()
    assert len(receiver.got) > 2
