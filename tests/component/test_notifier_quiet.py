"""A receiver that asks for quiet gets it: for all of its deliveries, and nobody else waits."""

import asyncio
from datetime import timedelta

import pytest

from contracts.generation import Notify
from contracts.jobs import JobEvent
from services.notifier.courier import Courier
from services.notifier.deliveries import Delivery, Outcome
from shared.ids import uuid7
from tests.fakes.jobs import a_job, a_story
from tests.fakes.notifier import NotifierBench

URL, OTHER = "https://shop.example/hook", "https://other.example/hook"


@pytest.fixture
def bench() -> NotifierBench:
    return NotifierBench()


def a_told_story(bench: NotifierBench, *kinds: str, url: str = URL) -> tuple[JobEvent, ...]:
    job = bench.jobs.put(a_job(job_id=uuid7(), notify=Notify(webhook_url=url)))
    return a_story(*kinds, job_id=job.job_id, webhook=True)


def ids(*events: JobEvent) -> list[str]:
    return [f"{event.job_id}/{event.seq}" for event in events]


@pytest.mark.parametrize("status", [429, 503])
async def test_a_delivery_is_not_tried_again_before_the_receivers_pause_is_over(
    bench: NotifierBench, status: int
) -> None:
    bench.receiver.answers[URL] = [Outcome(status=status, retry_after=8)]
    story = a_told_story(bench, "accepted", "started")
    await bench.handle(*story)
    await bench.deliver()
    for _ in range(7):
        bench.wait(1)
        await bench.deliver()
    assert bench.receiver.got == ids(story[0])
    bench.wait(1)
    await bench.deliver()
    await bench.deliver()
    bench.wait(1)
    await bench.deliver()
    assert bench.receiver.got == ids(story[0], *story), "in order, once the pause is over"


async def test_all_deliveries_to_the_endpoint_wait_and_those_to_others_do_not(bench: NotifierBench) -> None:
    bench.receiver.answers[URL] = [Outcome(status=429, retry_after=60)]
    first, second = a_told_story(bench, "accepted"), a_told_story(bench, "accepted")
    other = a_told_story(bench, "accepted", url=OTHER)
    await bench.handle(*first)
    await bench.deliver()
    await bench.handle(*second, *other)
    bench.wait(59)
    await bench.deliver()
    assert bench.receiver.got == ids(*first, *other)
    for _ in range(4):
        bench.wait(1)
        await bench.deliver()
    assert sorted(bench.receiver.got[2:]) == sorted(ids(*first, *second))


async def test_another_instance_respects_the_pause(bench: NotifierBench) -> None:
    bench.receiver.answers[URL] = [Outcome(status=503, retry_after=60)]
    await bench.handle(*a_told_story(bench, "accepted"))
    await bench.deliver()
    await bench.handle(*a_told_story(bench, "accepted"))
    bench.wait(30)
    other = bench.another_courier()
    await other.look()
    await other.idle()
    assert len(bench.receiver.got) == 1


async def test_a_receiver_that_names_its_pauses_is_not_counted_as_broken(bench: NotifierBench) -> None:
    bench.receiver.answers[URL] = [Outcome(status=429, retry_after=8) for _ in range(8)]
    stories = [a_told_story(bench, "accepted") for _ in range(8)]
    await bench.handle(*(story[0] for story in stories))
    bench.courier = bench.another_courier(concurrency=32)
    bench.receiver.slow[URL] = asyncio.Event()
    await bench.courier.look()
    for _ in range(10):
        await asyncio.sleep(0)
    bench.receiver.slow[URL].set()
    await bench.courier.idle()
    assert len(bench.receiver.got) == 8, "all were in flight at once"
    bench.wait(8)
    await bench.deliver()
    assert len(bench.receiver.got) == 9, (
        "one probe, after the receiver's pause and not after ours for failures"
    )
    for _ in range(12):
        bench.wait(1)
        await bench.deliver()
    assert {delivery.state for delivery in bench.deliveries.kept.values()} == {"delivered"}


class Busy:
    """A receiver at one address: the first job is told to wait, while those of others are answered later."""

    def __init__(self, first: str, told_to_wait: asyncio.Event) -> None:
        self.got: list[str] = []
        self._first = first
        self._told = told_to_wait

    async def post(self, delivery: Delivery) -> Outcome:
        self.got.append(delivery.id)
        if delivery.job_id == self._first:
            return Outcome(status=429, retry_after=60)
        await self._told.wait()
        return Outcome(status=200)


@pytest.mark.parametrize("instances", [1, 2])
async def test_a_job_on_its_way_stops_after_the_answer_that_it_waits_for(
    bench: NotifierBench, instances: int
) -> None:
    asks, goes_on = a_told_story(bench, "accepted"), a_told_story(bench, "accepted", "started", "completed")
    told = asyncio.Event()
    receiver = Busy(asks[0].job_id, told)
    couriers = [
        Courier(bench.deliveries, bench.endpoints, receiver.post, bench.now, concurrency=8)
        for _ in range(instances)
    ]
    await bench.handle(*goes_on)
    await couriers[0].look()
    await asyncio.sleep(0)
    await bench.handle(*asks)
    await couriers[-1].look()
    while not bench.endpoints.kept:
        await asyncio.sleep(0)
    told.set()
    for courier in couriers:
        await courier.idle()
    assert sorted(receiver.got) == sorted(ids(asks[0], goes_on[0]))
    [endpoint] = bench.endpoints.kept.values()
    assert endpoint.rests_until == bench.time + timedelta(seconds=60), "the 200 that came later keeps it"
    bench.wait(59)
    await couriers[0].look()
    await couriers[0].idle()
    assert len(receiver.got) == 2
    bench.wait(1)
    await couriers[0].look()
    await couriers[0].idle()
    assert len(receiver.got) > 2
