"""Faults while a submission is followed: of the job itself, and of the questions about it."""

from contracts.renders import RenderRequested
from tests.faults.between import (
    ALWAYS,
    How,
    Spoil,
    cut,
    endless,
    hang_up,
    large,
    redirect,
    saying,
    silence,
    status,
)
from tests.faults.house import House
from tests.faults.rows import DEADLINE, DONE, LONG, Fault, Row, again, failed, submit

A_WHILE = {"latency_seconds": 0.2}
"""Long enough to be asked about."""
OVERDUE_SOON = {"overdue": 1.0 - DEADLINE}


async def restart(house: House, command: RenderRequested) -> None:
    await house.deliver(command)
    await house.reach(command, "submitted")
    await house.at_the_provider("running")
    await house.rig.forget()


def polls(name: str, how: How, times: int = 2, timeout: float = 5.0) -> Fault:
    """The first questions go wrong, and the first that would have told the end."""
    spoils = (Spoil(("status", "result"), how, times),)
    return Fault(f"poll: {name}", A_WHILE, spoils=spoils, timeout=timeout)


FAILS = submit("job fails for good", "fail")
OUT_OF_MEMORY = submit("job fails, retryable", "oom")
COMPLETED_AWAY = submit("COMPLETED failed, result 429", "oom", spoils=(Spoil(("result",), status(429)),))
EXPIRED = Fault("COMPLETED, result 404", spoils=(Spoil(("result",), status(404)),))
FLAGGED = submit("flagged as nsfw", "nsfw")
NULL = Fault("result is null", spoils=(Spoil(("result",), saying(b"null"), 2),))
EMPTY = Fault("result is empty", spoils=(Spoil(("result",), saying(b""), 2),))
BROKE = polls("500", status(500))
LIMITED = polls("429", status(429, retry_after="1"))
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
    pace=OVERDUE_SOON,
)
RESTARTS = Fault("restart, memory lost", LONG, restart)
OVERDUE = Fault("never ends", LONG, pace=OVERDUE_SOON)

ROWS = (
    #   provider   what happens     how it ends                            sent, taken
    Row("modal", FAILS, failed("provider_error", "yes"), 1, 1),
    Row("comfyui", FAILS, failed("provider_error", "yes"), 1, 1),
    Row("fal", FAILS, failed("provider_error", "no"), 1, 1),
    Row("modal", OUT_OF_MEMORY, again("provider_error", "yes"), 1, 1),
    Row("comfyui", OUT_OF_MEMORY, again("provider_error", "yes"), 1, 1),
    Row("fal", OUT_OF_MEMORY, again("provider_error", "no"), 1, 1),
    Row("fal", COMPLETED_AWAY, again("provider_error", "no"), 1, 1),
    Row("fal", EXPIRED, again("lost", "yes"), 1, 1),
    Row("modal", FLAGGED, failed("nsfw", "yes"), 1, 1),
    Row("comfyui", FLAGGED, DONE, 1, 1),
    Row("fal", FLAGGED, failed("nsfw", "yes"), 1, 1),
    Row("modal", NULL, DONE, 1, 1),
    Row("comfyui", NULL, DONE, 1, 1),
    Row("fal", NULL, failed("no_output", "yes"), 1, 1),
    Row("modal", EMPTY, DONE, 1, 1),
    Row("comfyui", EMPTY, DONE, 1, 1),
    Row("fal", EMPTY, DONE, 1, 1),
    Row("modal", BROKE, DONE, 1, 1),
    Row("comfyui", BROKE, DONE, 1, 1),
    Row("fal", BROKE, DONE, 1, 1),
    Row("modal", LIMITED, DONE, 1, 1),
    Row("comfyui", LIMITED, DONE, 1, 1),
    Row("fal", LIMITED, DONE, 1, 1),
    Row("modal", LOCKED, DONE, 1, 1),
    Row("comfyui", LOCKED, DONE, 1, 1),
    Row("fal", LOCKED, DONE, 1, 1),
    Row("modal", MALFORMED, DONE, 1, 1),
    Row("comfyui", MALFORMED, DONE, 1, 1),
    Row("fal", MALFORMED, DONE, 1, 1),
    Row("modal", TRUNCATED, DONE, 1, 1),
    Row("comfyui", TRUNCATED, DONE, 1, 1),
    Row("fal", TRUNCATED, DONE, 1, 1),
    Row("modal", DROPPED, DONE, 1, 1),
    Row("comfyui", DROPPED, DONE, 1, 1),
    Row("fal", DROPPED, DONE, 1, 1),
    Row("modal", HANGS, DONE, 1, 1),
    Row("comfyui", HANGS, DONE, 1, 1),
    Row("fal", HANGS, DONE, 1, 1),
    Row("modal", SLOW, DONE, 1, 1),
    Row("comfyui", SLOW, DONE, 1, 1),
    Row("fal", SLOW, DONE, 1, 1),
    Row("modal", LARGE, DONE, 1, 1),
    Row("comfyui", LARGE, DONE, 1, 1),
    Row("fal", LARGE, DONE, 1, 1),
    Row("modal", REDIRECTED, DONE, 1, 1),
    Row("comfyui", REDIRECTED, DONE, 1, 1),
    Row("fal", REDIRECTED, DONE, 1, 1),
    Row("modal", UNANSWERED, failed("lost", "unknown"), 1, 1),
    Row("comfyui", UNANSWERED, failed("lost", "unknown"), 1, 1),
    Row("fal", UNANSWERED, failed("lost", "unknown"), 1, 1),
    Row("modal", RESTARTS, again("lost", "unknown"), 1, 1),
    Row("comfyui", RESTARTS, again("lost", "no"), 1, 1),
    Row("fal", RESTARTS, again("lost", "unknown"), 1, 1),
    Row("modal", OVERDUE, failed("lost", "unknown"), 1, 1),
    Row("comfyui", OVERDUE, failed("lost", "unknown"), 1, 1),
    Row("fal", OVERDUE, failed("lost", "unknown"), 1, 1),
)
