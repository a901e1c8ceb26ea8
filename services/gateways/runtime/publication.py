"""Messages about attempts on Kafka: progress, a success before its write, an end after its write."""

from dataclasses import replace

from contracts.base import Message
from contracts.renders import RenderProgressed
from services.gateways.kit.crash_points import crash_point
from services.gateways.kit.provider import InProgress
from services.gateways.runtime.ledger.writes import Ledger
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.lifecycle.decisions import End
from shared.clock import now
from shared.envelope import Outgoing
from shared.kafka.publisher import Publisher
from shared.outbox import ImmediatePublisher, outbox_entry


class AttemptPublisher:
    """Publishes for the executor; what the broker does not take in time is left to the outbox."""

    def __init__(self, ledger: Ledger, publisher: Publisher) -> None:
        self._ledger = ledger
        self._publisher = publisher
        self._immediate = ImmediatePublisher(publisher)

    async def progress(self, attempt: Attempt, status: InProgress) -> None:
        """Publish the progress, if it is new and still of interest."""
        last = attempt.last_progress
        if status.percent is None and last is not None and last.state == status.state:
            status = replace(status, percent=last.percent)  # a poll may know less than a hint
        if status == last or attempt.cancel:
            return
        attempt.last_progress = status
        message = RenderProgressed(
            attempt_id=attempt.id,
            job_id=attempt.command.job_id,
            tenant=attempt.command.tenant,
            provider=attempt.command.provider,
            at=now(),
            state=status.state,
            percent=status.percent,
            queue_position=status.queue_position,
        )
        await self._publisher.publish([Outgoing(message, attempt.trace)])

    async def try_publish(self, attempt: Attempt, message: Message) -> bool:
        """Publish one message; return whether the broker acknowledged it in time."""
        envelope = self._publisher.encode(Outgoing(message, attempt.trace))
        return await self._immediate.try_publish([envelope], about=attempt.id)

    async def end(self, attempt: Attempt, end: End) -> bool:
        """Write the end and its message in one write, then publish the message.

        After a crash in between, the outbox publishes it. Return False if another process owns the
        attempt: of two processes that disagree about an end, the owner is right.
        """
        message, at = end.message, now()
        entry = None
        if message is not None:
            entry = outbox_entry(message, source=self._publisher.source, trace=attempt.trace, at=at)
        kept = await self._ledger.finish(attempt, end, entry)
        crash_point("after_end")
        if kept and message is not None and await self.try_publish(attempt, message):
            self._ledger.note_published(attempt.id, at)
        return kept
