"""job.events → deliveries of webhooks"""

from collections.abc import Callable, Sequence

from contracts.jobs import JobEvent
from services.notifier.deliveries import delivery_of, predecessor, with_due_times
from services.notifier.ports import Deliveries, Jobs
from shared.clock import Clock
from shared.envelope import Outgoing, Received
from shared.kafka.subscribe import Subscribe


def handlers(
    subscribe: Subscribe, jobs: Jobs, deliveries: Deliveries, now: Clock, wake: Callable[[], None]
) -> None:
    """Subscribe to job events: once per event over all instances."""

    @subscribe(JobEvent, group="notifier")
    async def store_deliveries(batch: Sequence[Received[JobEvent]]) -> list[Outgoing]:
        events = [received.message for received in batch if has_webhook(received.message)]
        urls = await jobs.webhooks({event.job_id for event in events}) if events else {}
        new = [delivery_of(event, urls[event.job_id], now()) for event in events if event.job_id in urls]
        if new:
            known = await deliveries.known({predecessor(each) for each in new if each.seq > 1})
            await deliveries.add(with_due_times(new, known, now()))
            wake()
        return []


def has_webhook(event: JobEvent) -> bool:
    """Return whether an event goes to a webhook: numbered events of jobs that have one."""
    return event.webhook and event.event != "progressed"
