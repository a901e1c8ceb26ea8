"""job.events → webhooks to deliver"""

from collections.abc import Callable, Sequence

from contracts.jobs import JobEvent
from services.notifier.deliveries import delivery_of, in_turn, predecessor
from services.notifier.ports import Deliveries, Jobs
from shared.clock import Clock
from shared.envelope import Outgoing, Received
from shared.kafka.subscribe import Subscribe


def handlers(
    subscribe: Subscribe, jobs: Jobs, deliveries: Deliveries, now: Clock, wake: Callable[[], None]
) -> None:
    """Declare what the notifier listens to, once per event over all instances."""

    @subscribe(JobEvent, group="notifier")
    async def note_deliveries(batch: Sequence[Received[JobEvent]]) -> list[Outgoing]:
        events = [received.message for received in batch if is_told(received.message)]
        urls = await jobs.webhooks({event.job_id for event in events}) if events else {}
        new = [delivery_of(event, urls[event.job_id], now()) for event in events if event.job_id in urls]
        if new:
            known = await deliveries.known({predecessor(each) for each in new if each.seq > 1})
            await deliveries.add(in_turn(new, known, now()))
            wake()
        return []


def is_told(event: JobEvent) -> bool:
    """Webhooks get the numbered events of jobs that asked for them."""
    return event.webhook and event.event != "progressed"
