"""A mailbox forgets snapshots before anything else, and says so when numbered events are missing."""

from contracts.jobs import JobEvent
from services.notifier.mailbox import Mailbox, Signal
from tests.fakes.jobs import an_event


async def all_of(mailbox: Mailbox) -> list[tuple[str, int] | Signal]:
    found: list[tuple[str, int] | Signal] = []
    while (got := await mailbox.next(0.01)) is not Signal.IDLE:
        found.append((got.event, got.seq) if isinstance(got, JobEvent) else got)
    return found


async def test_events_come_in_order() -> None:
    mailbox = Mailbox()
    for event in (an_event("accepted", 1), an_event("progressed", 1), an_event("started", 2)):
        mailbox.put(event)
    assert await all_of(mailbox) == [("accepted", 1), ("progressed", 1), ("started", 2)]


async def test_only_the_last_snapshot_of_a_job_is_kept() -> None:
    mailbox = Mailbox()
    for seq in range(5):
        mailbox.put(an_event("progressed", seq))
    assert await all_of(mailbox) == [("progressed", 4)]


async def test_when_full_snapshots_go_first() -> None:
    mailbox = Mailbox(most=2)
    for event in (an_event("progressed", 1), an_event("started", 2), an_event("image_ready", 3)):
        mailbox.put(event)
    assert await all_of(mailbox) == [("started", 2), ("image_ready", 3)]
    mailbox.put(an_event("image_ready", 4))
    mailbox.put(an_event("image_ready", 5))
    mailbox.put(an_event("progressed", 5))
    assert await all_of(mailbox) == [("image_ready", 4), ("image_ready", 5)]


async def test_when_numbered_events_do_not_fit_the_documents_are_asked() -> None:
    mailbox = Mailbox(most=2)
    for seq in range(1, 5):
        mailbox.put(an_event("image_ready", seq))
    assert await all_of(mailbox) == [Signal.BEHIND, ("image_ready", 4)]


async def test_a_closed_mailbox_gives_nothing_more() -> None:
    mailbox = Mailbox()
    mailbox.put(an_event("accepted", 1))
    mailbox.close()
    assert await mailbox.next(1) is Signal.CLOSED
