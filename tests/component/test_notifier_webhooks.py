"""Webhooks: stored once per event, sent in order per job, retried until delivered or given up."""

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from contracts.jobs import JobEvent
from services.notifier.deliveries import PREDECESSOR_WAIT, Outcome
from services.notifier.planning import BEHIND_HEAD
from tests.fakes.jobs import START, a_job, an_event
from tests.fakes.notifier import NotifierHarness, a_webhook_story, ids_of

URL = "https://shop.example/hook"


@pytest.fixture
def harness() -> NotifierHarness:
    return NotifierHarness()


async def test_each_numbered_event_is_delivered_once_in_order(harness: NotifierHarness) -> None:
    story = a_webhook_story(harness, "accepted", "started", "image_ready", "completed")
    await harness.handle(*story)
    await harness.handle(*story[1:])
    await harness.deliver()
    await harness.deliver()
    assert harness.receiver.got == ids_of(*story)
    assert {delivery.state for delivery in harness.deliveries.kept.values()} == {"delivered"}


async def test_an_event_before_its_predecessor_waits_for_it(harness: NotifierHarness) -> None:
    story = a_webhook_story(harness, "accepted", "started", "image_ready", "completed")
    first, second, third, fourth = story
    await harness.handle(first)
    await harness.handle(third)
    await harness.deliver()
    assert harness.receiver.got == ids_of(first)
    await harness.handle(second, fourth)
    await harness.deliver()
    assert harness.receiver.got == ids_of(*story)


async def test_an_event_without_its_predecessor_is_sent_after_a_limited_wait(
    harness: NotifierHarness,
) -> None:
    first, _, third = a_webhook_story(harness, "accepted", "started", "image_ready")
    await harness.handle(first, third)
    await harness.deliver()
    harness.time += PREDECESSOR_WAIT
    await harness.deliver()
    assert harness.receiver.got == ids_of(first, third)


async def test_replayed_deliveries_with_gaps_are_sent_in_order(harness: NotifierHarness) -> None:
    story = a_webhook_story(harness, "accepted", "started", "image_ready", "image_ready", "completed")
    await harness.handle(*story)
    await harness.deliver()
    for key in (again := ids_of(*story[::2])):
        kept = harness.deliveries.kept[key]
        harness.deliveries.kept[key] = kept.model_copy(
            update={"state": "pending", "due_at": harness.time, "finished_at": None}
        )
    await harness.deliver()
    assert harness.receiver.got == [*ids_of(*story), *again]


async def test_the_body_is_the_event(harness: NotifierHarness) -> None:
    story = a_webhook_story(harness, "accepted")
    await harness.handle(*story)
    [delivery] = harness.deliveries.kept.values()
    assert JobEvent.model_validate_json(delivery.body) == story[0]
    assert delivery.url == URL


async def test_jobs_without_a_webhook_and_snapshots_are_not_delivered(harness: NotifierHarness) -> None:
    job = harness.jobs.put(a_job())
    story = a_webhook_story(harness, "accepted")
    snapshot = an_event("progressed", 1, job_id=story[0].job_id, webhook=True)
    await harness.handle(an_event("accepted", 1, job_id=job.job_id), snapshot)
    assert harness.deliveries.kept == {}


async def test_a_failed_delivery_is_retried_after_a_pause_and_holds_back_only_its_job(
    harness: NotifierHarness,
) -> None:
    harness.receiver.will(URL, 500, 503)
    story = a_webhook_story(harness, "accepted", "started")
    other = a_webhook_story(harness, "accepted", "started", url="https://other.example")
    await harness.handle(*story, *other)
    await harness.deliver()
    assert sorted(harness.receiver.got) == sorted([*ids_of(story[0]), *ids_of(*other)])
    await harness.deliver()
    assert len(harness.receiver.got) == 3, "not before its pause is over"
    harness.wait(1)
    await harness.deliver()
    harness.wait(4.9)
    await harness.deliver()
    assert len(harness.receiver.got) == 4, "the second pause is five seconds"
    harness.wait(1)
    await harness.deliver()
    await harness.deliver()
    assert harness.receiver.got[4:] == ids_of(*story)


async def test_events_during_a_pause_wait_for_its_end(harness: NotifierHarness) -> None:
    harness.receiver.will(URL, *[500] * 3)
    story = a_webhook_story(harness, "accepted", "started")
    await harness.handle(story[0])
    await harness.deliver()
    await harness.handle(story[1])
    await harness.deliver()
    assert harness.receiver.got == ids_of(story[0])


async def test_deliveries_behind_a_failed_one_are_postponed(harness: NotifierHarness) -> None:
    harness.receiver.will(URL, 500)
    story = a_webhook_story(harness, "accepted", "started", "completed")
    await harness.handle(*story)
    await harness.deliver()
    behind = [harness.deliveries.kept[key] for key in ids_of(*story[1:])]
    assert [delivery.due_at for delivery in behind] == [harness.time + BEHIND_HEAD] * 2
    harness.wait(1)
    await harness.deliver()
    assert harness.receiver.got[1:] == ids_of(*story), "but they go with the first one"


async def test_an_endpoint_is_disabled_after_a_day_of_failures_until_it_is_enabled(
    harness: NotifierHarness,
) -> None:
    harness.receiver.will(URL, *[500] * 100)
    story = a_webhook_story(harness, "accepted", "started")
    await harness.handle(story[0])
    while harness.time < START + timedelta(hours=25):
        await harness.deliver()
        harness.wait(1800)
    assert harness.deliveries.kept[ids_of(story[0])[0]].state == "gave_up"
    harness.receiver.answers.clear()
    tried = len(harness.receiver.got)
    await harness.handle(story[1])
    with capture_logs() as lines:
        await harness.deliver()
    assert harness.deliveries.kept[ids_of(story[1])[0]].state == "gave_up"
    assert "webhook_given_up" in [line["event"] for line in lines]
    assert len(harness.receiver.got) == tried, "a disabled endpoint is not tried"
    answer = await harness.http.post("/v1/webhooks/endpoints/enable", json={"url": URL})
    assert answer.json() == {"replayed": 2}
    await harness.deliver()
    assert harness.receiver.got[tried:] == ids_of(*story)


async def test_a_receiver_that_answers_410_is_disabled(harness: NotifierHarness) -> None:
    harness.receiver.will(URL, 410)
    story = a_webhook_story(harness, "accepted", "started")
    await harness.handle(*story)
    await harness.deliver()
    harness.wait(1)
    await harness.deliver()
    states = [harness.deliveries.kept[key].state for key in ids_of(*story)]
    assert states == ["gave_up", "gave_up"]
    assert len(harness.receiver.got) == 1, "410 means: never again"


async def test_a_refused_address_is_not_retried(harness: NotifierHarness) -> None:
    harness.receiver.answers[URL] = [Outcome(error="the address is not public", refused=True)]
    story = a_webhook_story(harness, "accepted")
    await harness.handle(*story)
    await harness.deliver()
    [delivery] = harness.deliveries.kept.values()
    assert (delivery.state, delivery.last_error) == ("gave_up", "the address is not public")


async def test_two_instances_deliver_each_event_once_and_in_order(harness: NotifierHarness) -> None:
    story = a_webhook_story(harness, "accepted", "started", "completed")
    await harness.handle(*story)
    other = harness.another_dispatcher()
    await harness.dispatcher.dispatch_due()
    await other.dispatch_due()
    await other.idle()
    await harness.dispatcher.idle()
    await harness.deliver()
    assert harness.receiver.got == ids_of(*story)


async def test_a_delivery_claimed_by_a_dead_instance_is_sent_when_its_lease_ends(
    harness: NotifierHarness,
) -> None:
    story = a_webhook_story(harness, "accepted")
    await harness.handle(*story)
    [delivery] = harness.deliveries.kept.values()
    assert await harness.deliveries.claim(delivery, harness.time + timedelta(seconds=30))
    await harness.deliver()
    assert harness.receiver.got == []
    harness.wait(31)
    await harness.deliver()
    assert harness.receiver.got == ids_of(*story)


async def test_a_delivery_that_another_instance_has_claimed_is_not_postponed(
    harness: NotifierHarness,
) -> None:
    await harness.handle(*a_webhook_story(harness, "accepted"))
    [delivery] = harness.deliveries.kept.values()
    claimed = await harness.deliveries.claim(delivery, harness.time + timedelta(seconds=30))
    await harness.deliveries.postpone([delivery.model_copy(update={"due_at": harness.time})])
    assert harness.deliveries.kept[delivery.id] == claimed


async def test_a_delivered_event_is_replayed_with_the_same_id(harness: NotifierHarness) -> None:
    story = a_webhook_story(harness, "accepted", "completed")
    await harness.handle(*story)
    await harness.deliver()
    bodies = {key: kept.body for key, kept in harness.deliveries.kept.items()}
    wanted = {"state": "delivered", "job_id": story[0].job_id}
    answer = await harness.http.post("/v1/webhooks/deliveries/replay", json=wanted)
    assert (answer.status_code, answer.json()) == (202, {"replayed": 2})
    await harness.deliver()
    assert harness.receiver.got == ids_of(*story) * 2
    assert {key: kept.body for key, kept in harness.deliveries.kept.items()} == bodies


async def test_another_tenants_deliveries_and_endpoints_do_not_exist(harness: NotifierHarness) -> None:
    harness.receiver.will(URL, 410)
    await harness.handle(*a_webhook_story(harness, "accepted"))
    await harness.deliver()
    globex = {"X-Tenant-Id": "globex", "X-User-Id": "ann"}
    assert (await harness.http.get("/v1/webhooks/deliveries", headers=globex)).json() == {"deliveries": []}
    mine, theirs = [
        (await harness.http.get("/v1/webhooks/endpoints", headers=headers)).json() for headers in ({}, globex)
    ]
    assert [endpoint["state"] for endpoint in mine["endpoints"]] == ["disabled"]
    assert theirs["endpoints"] == []
    assert mine["secret"] != theirs["secret"]
    replay = {"state": None}
    assert (
        await harness.http.post("/v1/webhooks/deliveries/replay", json=replay, headers=globex)
    ).json() == {"replayed": 0}
    unknown = await harness.http.post("/v1/webhooks/endpoints/enable", json={"url": URL}, headers=globex)
    assert unknown.status_code == 404
