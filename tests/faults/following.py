"""Faults while a submission is followed: of the job itself, and of the questions about it."""

from contracts.renders import RenderRequested
from tests.faults.between import ALWAYS, How, Spoil
from tests.faults.harness import ProcessHarness
from tests.faults.rows import (
    ALL,
    ASKABLE,
    COMFYUI,
    DEADLINE,
    DONE,
    FAL,
    LONG,
    MODAL,
    Fault,
    again,
    at,
    failed,
    submit,
)
from tests.faults.spoiling import cut, endless, hang_up, large, missing, redirect, saying, silence, status

A_WHILE = {"latency_seconds": 0.2}
"""Long enough to be asked about."""
OVERDUE_SOON = {"overdue_after": 1.0 - DEADLINE}


async def restart(harness: ProcessHarness, command: RenderRequested) -> None:
    await harness.deliver(command)
    await harness.reach(command, "submitted")
    await harness.at_the_provider("running")
    await harness.adapter.forget()


def polls(name: str, how: How, times: int = 2, timeout: float = 5.0) -> Fault:
    """The first polls fail, and the first that would have returned the end."""
    spoils = (Spoil(("status", "result"), how, times),)
    return Fault(f"poll: {name}", A_WHILE, spoils=spoils, timeout=timeout)


FAILS = submit("job fails for good", "fail")
OUT_OF_MEMORY = submit("job fails, retryable", "oom")
COMPLETED_AWAY = submit("COMPLETED failed, result 429", "oom", spoils=(Spoil(("result",), status(429)),))
EXPIRED = Fault("COMPLETED, result 404", spoils=(Spoil(("result",), missing, ALWAYS),))
FLAGGED = submit("flagged as nsfw", "nsfw")
NULL = Fault("result is null", spoils=(Spoil(("result",), saying(b"null"), 2),))
EMPTY = Fault("result is empty", spoils=(Spoil(("result",), saying(b""), 2),))
BROKE = polls("500", status(500))
LIMITED = polls("429", status(429, retry_after="1"))
NOT_THERE = polls("404", missing, times=1)
LOCKED = polls("401", status(401))
MALFORMED = polls("malformed JSON", saying(b'{"status": "'))
TRUNCATED = polls("truncated body", cut)
DROPPED = polls("connection lost", hang_up)
HANGS = polls("timeout", silence, times=1, timeout=1.0)
SLOW = polls("slow stream", endless, times=1, timeout=1.0)
LARGE = polls("50 MB body", large, times=1)
REDIRECTED = polls("redirect to another host", redirect)
UNANSWERED = Fault(
    "poll: 500 until the deadline",
    A_WHILE,
    spoils=(Spoil(("status", "result"), status(500), ALWAYS),),
    limits=OVERDUE_SOON,
)
RESTARTS = Fault("restart, memory lost", LONG, restart)
UNREPEATED = Fault("restart, resubmit off", LONG, restart, limits={"resubmit_unknown": False})
OVERDUE = Fault("never ends", LONG, limits=OVERDUE_SOON)

ROWS = (
    # where, what happens, how it ends, sent, taken
    *at(ASKABLE, FAILS, failed("provider_error", "yes"), 1, 1),
    *at(FAL, FAILS, failed("provider_error", "no"), 1, 1),
    *at(ASKABLE, OUT_OF_MEMORY, again("provider_error", "yes"), 1, 1),
    *at(FAL, OUT_OF_MEMORY, again("provider_error", "no"), 1, 1),
    *at(FAL, COMPLETED_AWAY, again("provider_error", "no"), 1, 1),
    *at(FAL, EXPIRED, again("lost", "yes"), 1, 1),
    *at(MODAL, FLAGGED, failed("nsfw", "yes"), 1, 1),
    *at(FAL, FLAGGED, failed("nsfw", "yes"), 1, 1),
    *at(COMFYUI, FLAGGED, DONE, 1, 1),
    *at(ASKABLE, NULL, DONE, 1, 1),
    *at(FAL, NULL, failed("no_output", "yes"), 1, 1),
    *at(ALL, EMPTY, DONE, 1, 1),
    *at(ALL, BROKE, DONE, 1, 1),
    *at(ALL, LIMITED, DONE, 1, 1),
    *at(MODAL, NOT_THERE, DONE, 1, 1),
    *at(FAL, NOT_THERE, DONE, 1, 1),
    *at(ALL, LOCKED, DONE, 1, 1),
    *at(ALL, MALFORMED, DONE, 1, 1),
    *at(ALL, TRUNCATED, DONE, 1, 1),
    *at(ALL, DROPPED, DONE, 1, 1),
    *at(ALL, HANGS, DONE, 1, 1),
    *at(ALL, SLOW, DONE, 1, 1),
    *at(ALL, LARGE, DONE, 1, 1),
    *at(ALL, REDIRECTED, DONE, 1, 1),
    *at(ALL, UNANSWERED, failed("lost", "unknown"), 1, 1),
    *at(MODAL, RESTARTS, again("lost", "unknown"), 1, 1),
    *at(FAL, RESTARTS, again("lost", "unknown"), 1, 1),
    *at(MODAL, UNREPEATED, failed("lost", "unknown"), 1, 1),
    *at(FAL, UNREPEATED, failed("lost", "unknown"), 1, 1),
    *at(COMFYUI, RESTARTS, again("lost", "no"), 1, 1),
    *at(ALL, OVERDUE, failed("lost", "unknown"), 1, 1),
)
