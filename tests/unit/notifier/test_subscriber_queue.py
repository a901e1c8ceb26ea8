"""A full queue drops snapshots first, and reports when numbered events are missing."""

from contracts.jobs import JobEvent
from services.notifier.subscriber_queue import Signal, SubscriberQueue
from tests.fakes.jobs import an_event


async def all_of(queue: SubscriberQueue) -> list[tuple[str, int] | Signal]:
    found: list[tuple[str, int] | Signal] = []
    while (got := await queue.next(0.01)) is not Signal.IDLE:
        found.append((got.event, got.seq) if isinstance(got, JobEvent) else got)
    return found


async def test_events_come_in_order() -> None:
    queue = SubscriberQueue()
    for event in (an_event("accepted", 1), an_event("progressed", 1), an_event("started", 2)):
        queue.put(event)
    assert await all_of(queue) == [("accepted", 1), ("progressed", 1), ("started", 2)]


async def test_only_the_last_snapshot_of_a_job_is_kept() -> None:
    queue = SubscriberQueue()
    for seq in range(5):
        queue.put(an_event("progressed", seq))
    assert await all_of(queue) == [("progressed", 4)]


async def test_a_full_queue_drops_snapshots_first() -> None:
    queue = SubscriberQueue(max_events=2)
    for event in (an_event("progressed", 1), an_event("started", 2), an_event("image_ready", 3)):
        queue.put(event)
    assert await all_of(queue) == [("started", 2), ("image_ready", 3)]
    queue.put(an_event("image_ready", 4))
    queue.put(an_event("image_ready", 5))
    queue.put(an_event("progressed", 5))
    assert await all_of(queue) == [("image_ready", 4), ("image_ready", 5)]


async def test_a_full_queue_reports_missing_numbered_events() -> None:
    queue = SubscriberQueue(max_events=2)
    for seq in range(1, 5):
        queue.put(an_event("image_ready", seq))
    assert await all_of(queue) == [Signal.BEHIND, ("image_ready", 4)]


async def test_a_closed_queue_returns_no_events() -> None:
    queue = SubscriberQueue()
    queue.put(an_event("accepted", 1))
    queue.close()
    assert await queue.next(1) is Signal.CLOSED
