"""What a gateway says of an attempt: how far it is, and its end.

A success is said before it is written: whoever finds it unwritten finds the same success at the provider.
Any other end is written first, with the message that it owes: of two processes that may disagree about
it, the one that may write is right.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from contracts.base import Message
from contracts.notices import Notice
from contracts.renders import Billed, RenderFailed, RenderProgressed, RenderRequested, RenderSucceeded
from contracts.workflows import seed_of
from services.gateways.kit.crash_points import crash_point
from services.gateways.kit.provider import Completed, Failed, InProgress
from services.gateways.kit.workflows import has_free_size
from services.gateways.runtime.ledger.ledger import Ledger
from services.gateways.runtime.lifecycle.attempt import Attempt, State
from services.gateways.runtime.recovery.late_outcomes import Outcome, first_check, settled
from shared.clock import now
from shared.envelope import Outgoing
from shared.kafka.publisher import Publisher
from shared.mongo.leases import Lease
from shared.outbox import ImmediatePublisher, outbox_entry

log = structlog.get_logger()

MOST_DROPPED = 100
"""Files named in `RenderSucceeded.dropped`; its notice counts all."""


class Reports:
    """Writes and says; an attempt that is another's by now is neither written nor spoken of."""

    def __init__(self, ledger: Ledger, lease: Lease, publisher: Publisher) -> None:
        self._ledger = ledger
        self._lease = lease
        self._publisher = publisher
        self._immediate = ImmediatePublisher(publisher)

    async def progress(self, attempt: Attempt, status: InProgress) -> None:
        """Say how far it is, if that is news."""
        if status.percent is None and attempt.told is not None and attempt.told.state == status.state:
            status = replace(status, percent=attempt.told.percent)  # a poll that knows less than a hint
        if status == attempt.told or attempt.cancel:
            return
        attempt.told = status
        message = RenderProgressed(
            **_whose(attempt),
            state=status.state,
            percent=status.percent,
            queue_position=status.queue_position,
        )
        await self._publisher.publish([Outgoing(message, attempt.trace)])

    async def done(self, attempt: Attempt, done: Completed) -> None:
        """The provider has outputs: a success, unless they are not wanted or not allowed."""
        if attempt.cancel and attempt.done is None:
            await self._cancelled(attempt, "succeeded", billed="yes", cost_usd=done.cost_usd)
            return
        if all(output.nsfw for output in done.outputs) and not attempt.command.spec.nsfw_allowed:
            words = "the provider flagged the image as not safe for work"
            broken = Failed("nsfw", words, retryable=False, billed="yes", cost_usd=done.cost_usd)
            await self.failed(attempt, broken)
            return
        command = attempt.command
        message = RenderSucceeded(
            **_whose(attempt),
            spec=command.spec,
            outputs=done.outputs,
            dropped=done.dropped[:MOST_DROPPED],
            notices=notices_about(command, done),
            free_size=has_free_size(command.workflow),
            seed=seed_used(command, done),
            provider_seconds=done.seconds,
            cost_usd=done.cost_usd,
            base_model=done.base_model,
            steps=done.steps,
        )
        self._lease.check(attempt.owner, f"telling the success of {attempt.id}")
        if attempt.done is None and await self._say(attempt, message):
            attempt.done = done
        crash_point("after_said")
        owing = None if attempt.done else message
        await self._end(attempt, "succeeded", owing, billed="yes", cost_usd=done.cost_usd)

    async def _say(self, attempt: Attempt, message: Message) -> bool:
        """Whether the broker took it soon."""
        envelope = self._publisher.encode(Outgoing(message, attempt.trace))
        return await self._immediate.try_publish([envelope], about=attempt.id)

    async def given_up(self, attempt: Attempt, broken: Failed) -> None:
        """It is we who end it: what became of it at the provider is asked later."""
        await self.failed(attempt, broken, next_check_at=first_check(now()))

    async def failed(
        self, attempt: Attempt, broken: Failed, *, next_check_at: datetime | None = None
    ) -> None:
        """There will be no output of this attempt."""
        if attempt.cancel:
            await self._cancelled(
                attempt,
                "cancelled",
                billed=broken.billed,
                cost_usd=broken.cost_usd,
                next_check_at=next_check_at,
            )
            return
        message = RenderFailed(
            **_whose(attempt),
            code=broken.code,
            message=broken.message,
            retryable=broken.retryable,
            billed=broken.billed,
            cost_usd=broken.cost_usd,
        )
        error = f"{broken.code}: {broken.message}"
        await self._end(
            attempt,
            "failed",
            message,
            billed=broken.billed,
            cost_usd=broken.cost_usd,
            error=error,
            next_check_at=next_check_at,
        )

    async def cancelled(self, attempt: Attempt) -> None:
        """It was to be stopped, and nothing of it is at the provider: nothing is said."""
        await self._cancelled(attempt, "cancelled", billed="no")

    async def _cancelled(
        self,
        attempt: Attempt,
        outcome: Outcome,
        *,
        billed: Billed,
        cost_usd: float | None = None,
        next_check_at: datetime | None = None,
    ) -> None:
        """No one waits for it any more; that it was billed is said to those who keep accounts."""
        message = settled(attempt, outcome, billed, cost_usd) if billed != "no" else None
        await self._end(
            attempt, "cancelled", message, billed=billed, cost_usd=cost_usd, next_check_at=next_check_at
        )

    async def _end(
        self,
        attempt: Attempt,
        state: State,
        message: Message | None,
        *,
        billed: Billed,
        cost_usd: float | None = None,
        error: str | None = None,
        next_check_at: datetime | None = None,
    ) -> None:
        """One write: the end and what it owes. Then say that; a crash in between leaves it to the sweeper."""
        source = self._publisher.source
        outbox = outbox_entry(message, source=source, trace=attempt.trace, at=now()) if message else None
        kept = await self._ledger.finish(
            attempt,
            state,
            outbox,
            billed=billed,
            cost_usd=cost_usd,
            error=error,
            next_check_at=next_check_at,
        )
        attempt.state = state
        crash_point("after_end")
        if kept and outbox is not None and message is not None and await self._say(attempt, message):
            self._ledger.said(attempt.id, outbox["at"])
        log.info("attempt_finished", attempt_id=attempt.id, state=state, error=error, kept=kept)


def seed_used(command: RenderRequested, done: Completed) -> int | None:
    """Return the seed of an image; a caller's workflow need not have taken ours."""
    if command.workflow is not None:
        return seed_of(command.workflow, command.spec.seed)
    return done.seed if done.seed is not None else command.spec.seed


def notices_about(command: RenderRequested, done: Completed) -> tuple[Notice, ...]:
    """Say how many images were made that are not delivered."""
    count = len(done.dropped)
    if command.spec.kind == "image":
        count += len(done.outputs) - 1
    if not count:
        return ()
    what = "1 more image" if count == 1 else f"{count} more images"
    rule = (
        " The node titled 'result' names the result, else the last node that saves; of a batch it is"
        " the first image. For more images ask for a higher count."
        if command.workflow
        else ""
    )
    message = f"The run made {what} than the one that is delivered.{rule}"
    return (Notice(code="outputs_dropped", message=message, images=(command.spec.index,)),)


def _whose(attempt: Attempt) -> dict[str, Any]:
    """What all news of an attempt carry."""
    command = attempt.command
    return {
        "attempt_id": command.attempt_id,
        "job_id": command.job_id,
        "tenant": command.tenant,
        "provider": command.provider,
        "at": now(),
    }
