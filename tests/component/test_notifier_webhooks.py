"""Webhooks: noted once per event, delivered in order per job, tried again until they arrive or time is up."""

import asyncio
from datetime import timedelta

import pytest

from contracts.generation import Notify
from contracts.jobs import JobEvent
from services.notifier.courier import BEHIND_ANOTHER, LEAVE_SECONDS, PAGE_PER_SLOT
from services.notifier.deliveries import MISSING_PREDECESSOR, Outcome
from services.notifier.endpoints import FAILURES_TO_REST, new_endpoint
from shared.ids import uuid7
from tests.fakes.jobs import START, a_job, a_story, an_event
from tests.fakes.notifier import NotifierBench
from tests.fakes.waiting import background, until

URL = "https://shop.example/hook"


@pytest.fixture
def bench() -> NotifierBench:
    return NotifierBench()


def a_told_story(bench: NotifierBench, *kinds: str, url: str = URL) -> tuple[JobEvent, ...]:
    job = bench.jobs.put(a_job(job_id=uuid7(), notify=Notify(webhook_url=url)))
    return a_story(*kinds, job_id=job.job_id, webhook=True)


def ids(*events: JobEvent) -> list[str]:
    return [f"{event.job_id}/{event.seq}" for event in events]


async def test_each_numbered_event_is_delivered_once_in_order(bench: NotifierBench) -> None:
    story = a_told_story(bench, "accepted", "started", "image_ready", "completed")
    await bench.handle(*story)
    await bench.handle(*story[1:])
    await bench.deliver()
    await bench.deliver()
    assert bench.receiver.got == ids(*story)
    assert {delivery.state for delivery in bench.deliveries.kept.values()} == {"delivered"}


async def test_an_event_that_comes_before_its_predecessor_waits_for_it(bench: NotifierBench) -> None:
    story = a_told_story(bench, "accepted", "started", "image_ready", "completed")
    first, second, third, fourth = story
    await bench.handle(first)
    await bench.handle(third)
    await bench.deliver()
    assert bench.receiver.got == ids(first)
    await bench.handle(second, fourth)
    await bench.deliver()
    assert bench.receiver.got == ids(*story)


async def test_but_not_for_ever(bench: NotifierBench) -> None:
    first, _, third = a_told_story(bench, "accepted", "started", "image_ready")
    await bench.handle(first, third)
    await bench.deliver()
    bench.time += MISSING_PREDECESSOR
    await bench.deliver()
    assert bench.receiver.got == ids(first, third)


async def test_what_is_sent_again_with_gaps_goes_one_after_the_other(bench: NotifierBench) -> None:
    story = a_told_story(bench, "accepted", "started", "image_ready", "image_ready", "completed")
    await bench.handle(*story)
    await bench.deliver()
    for key in (again := ids(*story[::2])):
        kept = bench.deliveries.kept[key]
        bench.deliveries.kept[key] = kept.model_copy(
            update={"state": "pending", "due_at": bench.time, "finished_at": None}
        )
    await bench.deliver()
    assert bench.receiver.got == [*ids(*story), *again]


async def test_the_body_is_the_event(bench: NotifierBench) -> None:
    story = a_told_story(bench, "accepted")
    await bench.handle(*story)
    [delivery] = bench.deliveries.kept.values()
    assert JobEvent.model_validate_json(delivery.body) == story[0]
    assert delivery.url == URL


async def test_jobs_without_a_webhook_and_snapshots_are_not_delivered(bench: NotifierBench) -> None:
    job = bench.jobs.put(a_job())
    story = a_told_story(bench, "accepted")
    snapshot = an_event("progressed", 1, job_id=story[0].job_id, webhook=True)
    await bench.handle(an_event("accepted", 1, job_id=job.job_id), snapshot)
    assert bench.deliveries.kept == {}


async def test_what_fails_is_tried_again_later_and_holds_back_only_its_own_job(bench: NotifierBench) -> None:
    bench.receiver.will(URL, 500, 503)
    story = a_told_story(bench, "accepted", "started")
    other = a_told_story(bench, "accepted", "started", url="https://other.example")
    await bench.handle(*story, *other)
    await bench.deliver()
    assert sorted(bench.receiver.got) == sorted([*ids(story[0]), *ids(*other)])
    await bench.deliver()
    assert len(bench.receiver.got) == 3, "not before its pause is over"
    bench.wait(1)
    await bench.deliver()
    bench.wait(4.9)
    await bench.deliver()
    assert len(bench.receiver.got) == 4, "the second pause is five seconds"
    bench.wait(1)
    await bench.deliver()
    await bench.deliver()
    assert bench.receiver.got[4:] == ids(*story)


async def test_events_that_come_during_a_pause_wait_too(bench: NotifierBench) -> None:
    bench.receiver.will(URL, *[500] * 3)
    story = a_told_story(bench, "accepted", "started")
    await bench.handle(story[0])
    await bench.deliver()
    await bench.handle(story[1])
    await bench.deliver()
    assert bench.receiver.got == ids(story[0])


async def test_those_behind_another_are_not_looked_at_meanwhile(bench: NotifierBench) -> None:
    bench.receiver.will(URL, 500)
    story = a_told_story(bench, "accepted", "started", "completed")
    await bench.handle(*story)
    await bench.deliver()
    behind = [bench.deliveries.kept[key] for key in ids(*story[1:])]
    assert [delivery.due_at for delivery in behind] == [bench.time + BEHIND_ANOTHER] * 2
    bench.wait(1)
    await bench.deliver()
    assert bench.receiver.got[1:] == ids(*story), "but they go with the first one"


async def test_after_a_day_the_endpoint_is_left_alone_until_it_is_enabled(
    bench: NotifierBench,
) -> None:
    bench.receiver.will(URL, *[500] * 100)
    story = a_told_story(bench, "accepted", "started")
    await bench.handle(story[0])
    while bench.time < START + timedelta(hours=25):
        await bench.deliver()
        bench.wait(1800)
    assert bench.deliveries.kept[ids(story[0])[0]].state == "gave_up"
    bench.receiver.answers.clear()
    tried = len(bench.receiver.got)
    await bench.handle(story[1])
    await bench.deliver()
    assert bench.deliveries.kept[ids(story[1])[0]].state == "gave_up"
    assert len(bench.receiver.got) == tried, "a disabled endpoint is not tried"
    answer = await bench.http.post("/v1/webhooks/endpoints/enable", json={"url": URL})
    assert answer.json() == {"replayed": 2}
    await bench.deliver()
    assert bench.receiver.got[tried:] == ids(*story)


async def test_a_receiver_that_is_gone_is_not_tried_again(bench: NotifierBench) -> None:
    bench.receiver.will(URL, 410)
    story = a_told_story(bench, "accepted", "started")
    await bench.handle(*story)
    await bench.deliver()
    bench.wait(1)
    await bench.deliver()
    states = [bench.deliveries.kept[key].state for key in ids(*story)]
    assert states == ["gave_up", "gave_up"]
    assert len(bench.receiver.got) == 1, "410 means: never again"


async def test_a_refused_address_is_not_tried_again(bench: NotifierBench) -> None:
    bench.receiver.answers[URL] = [Outcome(error="the address is not public", refused=True)]
    story = a_told_story(bench, "accepted")
    await bench.handle(*story)
    await bench.deliver()
    [delivery] = bench.deliveries.kept.values()
    assert (delivery.state, delivery.last_error) == ("gave_up", "the address is not public")


async def test_two_instances_deliver_each_event_once_and_in_order(bench: NotifierBench) -> None:
    story = a_told_story(bench, "accepted", "started", "completed")
    await bench.handle(*story)
    other = bench.another_courier()
    await bench.courier.look()
    await other.look()
    await other.idle()
    await bench.courier.idle()
    await bench.deliver()
    assert bench.receiver.got == ids(*story)


async def test_what_a_dead_instance_had_claimed_is_delivered_when_its_lease_ends(
    bench: NotifierBench,
) -> None:
    story = a_told_story(bench, "accepted")
    await bench.handle(*story)
    [delivery] = bench.deliveries.kept.values()
    assert await bench.deliveries.claim(delivery, bench.time + timedelta(seconds=30))
    await bench.deliver()
    assert bench.receiver.got == []
    bench.wait(31)
    await bench.deliver()
    assert bench.receiver.got == ids(*story)


async def test_one_host_does_not_take_all_places(bench: NotifierBench) -> None:
    bench.courier = bench.another_courier(concurrency=4)
    slow = [a_told_story(bench, "accepted", url="https://slow.example") for _ in range(10)]
    quick = a_told_story(bench, "accepted")
    await bench.handle(*(event for story in slow for event in story), *quick)
    await bench.courier.look()
    await bench.courier.idle()
    assert ids(*quick)[0] in bench.receiver.got[:2]
    assert len(bench.receiver.got) == 2 + 4, "those that were found waiting go on without another look"


SLOW = "https://slow.example"


async def crowded(bench: NotifierBench) -> tuple[JobEvent, ...]:
    """More is due at one address than is looked at at once, and after that one event for another."""
    bench.courier = bench.another_courier(concurrency=4)
    for _ in range(5 * PAGE_PER_SLOT):
        await bench.handle(*a_told_story(bench, "accepted", url=SLOW))
    quick = a_told_story(bench, "accepted")
    await bench.handle(*quick)
    return quick


async def test_an_endpoint_that_does_not_answer_keeps_no_one_else_waiting(bench: NotifierBench) -> None:
    bench.receiver.slow[SLOW] = asyncio.Event()
    quick = await crowded(bench)
    async with background(bench.courier.run):
        await until(lambda: ids(*quick)[0] in bench.receiver.got)
    assert len(bench.receiver.got) == 2


async def test_what_waits_for_a_resting_endpoint_keeps_no_one_else_waiting(bench: NotifierBench) -> None:
    until_then = bench.time + timedelta(hours=1)
    endpoint = new_endpoint("acme", SLOW)
    await bench.endpoints.save(endpoint.model_copy(update={"state": "resting", "rests_until": until_then}))
    quick = await crowded(bench)
    async with background(bench.courier.run):
        await until(lambda: bench.receiver.got == ids(*quick), seconds=0.9)


async def test_who_stood_by_is_not_tried_when_the_endpoint_comes_to_rest(bench: NotifierBench) -> None:
    bench.receiver.will("https://slow.example", *[500] * 20)
    stories = [a_told_story(bench, "accepted", url="https://slow.example") for _ in range(10)]
    await bench.handle(*(event for story in stories for event in story))
    await bench.courier.look()
    await bench.courier.idle()
    tried = len(bench.receiver.got)
    assert FAILURES_TO_REST <= tried <= FAILURES_TO_REST + 1, "but for one that was on its way"


async def test_a_crowded_endpoint_that_answers_gets_all_of_it_soon(bench: NotifierBench) -> None:
    await crowded(bench)
    for _ in range(12):
        async with background(bench.courier.run):
            await asyncio.sleep(0.5)
        bench.wait(1)
    assert {delivery.state for delivery in bench.deliveries.kept.values()} == {"delivered"}


async def test_a_post_in_flight_may_end_when_its_process_does(bench: NotifierBench) -> None:
    bench.receiver.slow[URL] = asyncio.Event()
    await bench.handle(*a_told_story(bench, "accepted"))
    async with background(bench.courier.run):
        await until(lambda: bench.receiver.got)
        asyncio.get_running_loop().call_later(LEAVE_SECONDS - 1, bench.receiver.slow[URL].set)
    [delivery] = bench.deliveries.kept.values()
    assert delivery.state == "delivered"


async def test_a_post_that_takes_longer_than_its_process_may_is_tried_by_another_at_once(
    bench: NotifierBench,
) -> None:
    bench.receiver.slow[URL] = asyncio.Event()
    story = a_told_story(bench, "accepted", "started")
    await bench.handle(*story)
    async with background(bench.courier.run):
        await until(lambda: bench.receiver.got)
    bench.receiver.slow.clear()
    other = bench.another_courier()
    await other.look()
    await other.idle()
    assert bench.receiver.got == ids(story[0], *story)


async def test_what_another_instance_has_claimed_meanwhile_is_not_put_off(bench: NotifierBench) -> None:
    await bench.handle(*a_told_story(bench, "accepted"))
    [delivery] = bench.deliveries.kept.values()
    claimed = await bench.deliveries.claim(delivery, bench.time + timedelta(seconds=30))
    await bench.deliveries.postpone([delivery.model_copy(update={"due_at": bench.time})])
    assert bench.deliveries.kept[delivery.id] == claimed


async def test_an_endpoint_that_fails_for_many_jobs_rests_and_then_gets_one_probe(
    bench: NotifierBench,
) -> None:
    bench.receiver.will(URL, *[500] * 6)
    stories = [a_told_story(bench, "accepted") for _ in range(8)]
    other = a_told_story(bench, "accepted", url="https://other.example")
    await bench.handle(*(story[0] for story in stories[:5]))
    await bench.deliver()
    await bench.deliver()
    await bench.deliver()
    tried = len(bench.receiver.got)
    assert tried == 5
    await bench.handle(*(story[0] for story in stories[5:]), *other)
    bench.wait(29)
    await bench.deliver()
    assert bench.receiver.got[tried:] == ids(*other), "only the resting one is left alone"
    bench.wait(2)
    await bench.deliver()
    assert len(bench.receiver.got) == tried + 2, "one probe, not eight"
    bench.wait(61)
    for _ in range(10):
        await bench.deliver()
        bench.wait(1)
    states = {bench.deliveries.kept[ids(*story)[0]].state for story in stories}
    assert states == {"delivered"}
    assert [endpoint.state for endpoint in bench.endpoints.kept.values()] == ["up"]


async def test_what_arrived_can_be_sent_again_under_the_same_id(bench: NotifierBench) -> None:
    story = a_told_story(bench, "accepted", "completed")
    await bench.handle(*story)
    await bench.deliver()
    bodies = {key: kept.body for key, kept in bench.deliveries.kept.items()}
    wanted = {"state": "delivered", "job_id": story[0].job_id}
    answer = await bench.http.post("/v1/webhooks/deliveries/replay", json=wanted)
    assert (answer.status_code, answer.json()) == (202, {"replayed": 2})
    await bench.deliver()
    assert bench.receiver.got == ids(*story) * 2
    assert {key: kept.body for key, kept in bench.deliveries.kept.items()} == bodies


async def test_another_tenants_deliveries_and_endpoints_do_not_exist(bench: NotifierBench) -> None:
    bench.receiver.will(URL, 410)
    await bench.handle(*a_told_story(bench, "accepted"))
    await bench.deliver()
    globex = {"X-Tenant-Id": "globex", "X-User-Id": "ann"}
    assert (await bench.http.get("/v1/webhooks/deliveries", headers=globex)).json() == {"deliveries": []}
    mine, theirs = [
        (await bench.http.get("/v1/webhooks/endpoints", headers=headers)).json() for headers in ({}, globex)
    ]
    assert [endpoint["state"] for endpoint in mine["endpoints"]] == ["disabled"]
    assert theirs["endpoints"] == []
    assert mine["secret"] != theirs["secret"]
    replay = {"state": None}
    assert (await bench.http.post("/v1/webhooks/deliveries/replay", json=replay, headers=globex)).json() == {
        "replayed": 0
    }
    unknown = await bench.http.post("/v1/webhooks/endpoints/enable", json={"url": URL}, headers=globex)
    assert unknown.status_code == 404
