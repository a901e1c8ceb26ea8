"""Cancels: before, in and after a provider's work, and cancels that are not carried out."""

import asyncio

from contracts.renders import RenderRequested
from tests.fakes.provider import a_cancel, a_command
from tests.faults.between import ALWAYS, Spoil
from tests.faults.harness import ProcessHarness
from tests.faults.rows import (
    ALL,
    ASKABLE,
    DONE,
    FAL,
    LONG,
    MODAL,
    SELDOM,
    Fault,
    at,
    cancelled,
    submit,
)
from tests.faults.spoiling import closed, hang_up, status


async def cancel_first(harness: ProcessHarness, command: RenderRequested) -> None:
    await harness.deliver(a_cancel(command))
    await harness.deliver(command)


async def cancel_unsent(harness: ProcessHarness, command: RenderRequested) -> None:
    await harness.deliver(command)
    async with asyncio.timeout(10):
        while not (harness.sent and harness.entry(command)["state"] == "accepted"):
            await asyncio.sleep(0.005)
    await harness.deliver(a_cancel(command))


async def cancel_unknown(harness: ProcessHarness, command: RenderRequested) -> None:
    await harness.deliver(command)
    await harness.reach(command, "unknown")
    await harness.deliver(a_cancel(command))


async def cancel_queued(harness: ProcessHarness, command: RenderRequested) -> None:
    """Another job runs there; it goes on, and is stopped only when this one is."""
    other = a_command(provider=command.provider)
    await harness.deliver(other)
    await harness.at_the_provider("running")
    await harness.deliver(command)
    await harness.at_the_provider("running", "queued")
    await harness.reach(command, "submitted")
    await harness.deliver(a_cancel(command))
    await harness.at_the_provider("running", "cancelled")
    await harness.reach(command, "cancelled")
    await harness.deliver(a_cancel(other))
    await harness.reach(other, "cancelled")


async def cancel_running(harness: ProcessHarness, command: RenderRequested) -> None:
    await harness.deliver(command)
    await harness.reach(command, "submitted")
    await harness.at_the_provider("running")
    await harness.deliver(a_cancel(command))


async def cancel_unnoticed_end(harness: ProcessHarness, command: RenderRequested) -> None:
    await harness.deliver(command)
    await harness.at_the_provider("succeeded")
    await harness.deliver(a_cancel(command))


async def cancel_last(harness: ProcessHarness, command: RenderRequested) -> None:
    await harness.deliver(command)
    await harness.end(command)
    await harness.deliver(a_cancel(command))


FIRST = Fault("cancel before the command", story=cancel_first)
UNSENT = submit("cancel before it is sent", "429", behaviour={"retry_after_seconds": 30}, story=cancel_unsent)
UNANSWERED = submit("cancel, outcome unknown", "lose_answer", behaviour=LONG, story=cancel_unknown)
UNHEARD = submit("cancel, outcome unknown", "lose_answer", story=cancel_unknown)
QUEUED = Fault("cancel in the provider's queue", LONG | {"concurrency": 1}, cancel_queued)
RUNNING = Fault("cancel while running", LONG, cancel_running)
BROKE = Fault("cancel answered 500 at first", LONG, cancel_running, (Spoil(("cancel",), status(500), 2),))
DROPPED = Fault(
    "cancel carried out, answer lost", LONG, cancel_running, (Spoil(("cancel",), hang_up, taken=True),)
)
IGNORED = Fault(
    "cancel ignored, image comes", {"cancel_is_ignored": True, "latency_seconds": 1.5}, cancel_running
)
UNNOTICED = Fault(
    "cancel after the end, unnoticed",
    story=cancel_unnoticed_end,
    spoils=(Spoil(("hints",), closed, ALWAYS),),
    limits=SELDOM,
)
LAST = Fault("cancel after the end", story=cancel_last)

ROWS = (
    # where, what happens, how it ends, sent, taken
    *at(ALL, FIRST, cancelled("no"), 0, 0),
    *at(ALL, UNSENT, cancelled("no"), 1, 0),
    *at(ASKABLE, UNANSWERED, cancelled("yes"), 1, 1),
    *at(FAL, UNHEARD, cancelled("unknown"), 1, 1),
    *at(ASKABLE, QUEUED, cancelled("no"), 1, 1),
    *at(FAL, QUEUED, cancelled("unknown"), 1, 1),
    *at(ASKABLE, RUNNING, cancelled("yes"), 1, 1),
    *at(FAL, RUNNING, cancelled("unknown"), 1, 1),
    *at(ASKABLE, BROKE, cancelled("yes"), 1, 1),
    *at(FAL, BROKE, cancelled("unknown"), 1, 1),
    *at(ASKABLE, DROPPED, cancelled("yes"), 1, 1),
    *at(FAL, DROPPED, cancelled("unknown"), 1, 1),
    *at(MODAL, IGNORED, cancelled("yes"), 1, 1),
    *at(FAL, IGNORED, cancelled("yes"), 1, 1),
    *at(ALL, UNNOTICED, cancelled("yes"), 1, 1),
    *at(ALL, LAST, DONE, 1, 1),
)
