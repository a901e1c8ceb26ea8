"""Faults of a submission: whether it was sent, whether it was taken, and whether anybody can tell."""

from contracts.renders import RenderRequested
from tests.fakes.provider import a_command
from tests.faults.between import ALWAYS, Spoil
from tests.faults.harness import ProcessHarness
from tests.faults.rows import (
    ALL,
    ASKABLE,
    COMFYUI,
    DONE,
    FAL,
    LONG,
    MODAL,
    UNKNOWN,
    End,
    Fault,
    again,
    at,
    failed,
    submit,
)
from tests.faults.spoiling import endless, forgetting, hang_up, large, redirect, saying, silence, status

BROKEN_WORKFLOW = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "{{prefix}}"}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
}


async def try_again(harness: ProcessHarness, command: RenderRequested) -> None:
    """As the dispatcher does after a retryable failure: the render's next attempt."""
    await harness.deliver(command)
    await harness.end(command)
    second = a_command(2, command.provider, job_id=command.job_id)
    await harness.deliver(second)
    await harness.end(second)


REJECTED = Fault("connect refused", door="closed")
NO_CONNECTION = Fault("timeout before send", door="full")
DROPPED = submit("answer lost, accepted", "lose_answer")
DROPPED_BEFORE = Fault("answer lost, not accepted", spoils=(Spoil(("submit",), hang_up),))
HANGS = submit(
    "timeout after send, accepted", "lose_answer", behaviour={"lose_answer_mode": "hang"}, timeout=1.0
)
HANGS_BEFORE = Fault("timeout after send, not accepted", spoils=(Spoil(("submit",), silence),), timeout=1.0)
LOCKED = Fault("401", spoils=(Spoil(("submit",), status(401), ALWAYS),))
NOT_THERE = Fault("404", spoils=(Spoil(("submit",), status(404), ALWAYS),))
INVALID = submit("422", "422")
LIMITED = submit("429, Retry-After 1 s", "429", second_after=1.0)
BROKE = submit("500, not accepted", "500")
BROKE_AFTER = submit("500, accepted", "accepted_500")
BUSY = submit("503, Retry-After 0 s", "503", behaviour={"retry_after_seconds": 0})
BUSY_INSIDE = Fault("503 with a request id", spoils=(Spoil(("submit",), status(503, x_fal_request_id="r1")),))
MALFORMED = submit("malformed JSON, accepted", "malformed_json")
TRUNCATED = submit("truncated body, accepted", "truncated")
NULL = Fault("null answer, accepted", spoils=(Spoil(("submit",), saying(b"null"), taken=True),))
SLOW = Fault("slow stream, accepted", spoils=(Spoil(("submit",), endless, taken=True),), timeout=1.0)
LARGE = Fault("50 MB body, accepted", spoils=(Spoil(("submit",), large, taken=True),))
REDIRECTED = Fault("redirect to another host", spoils=(Spoil(("submit",), redirect),))
NODE_ERRORS = Fault("200 with node_errors", LONG, workflow=BROKEN_WORKFLOW)
TOO_LATE = Fault("deadline passed before sending", deadline=-1.0)
RESTARTS_EARLY = Fault("answer lost, then restart", spoils=(Spoil(("submit",), forgetting, taken=True),))
UNASKED = submit(
    "answer lost, asking fails too",
    "lose_answer",
    spoils=(Spoil(("status",), status(500), 2), Spoil(("status",), saying(b'{"half'), 2)),
)
UNREPEATED = submit("answer lost, resubmit off", "lose_answer", limits={"resubmit_unknown": False})
REPEATED = submit("answer lost, next attempt", "lose_answer", story=try_again)

ROWS = (
    # where, what happens, how it ends, sent, taken
    *at(ALL, REJECTED, again("provider_unreachable"), 2, 0),
    *at(ALL, NO_CONNECTION, again("provider_unreachable"), 2, 0),
    *at(ASKABLE, DROPPED, DONE, 1, 1),
    *at(FAL, DROPPED, UNKNOWN, 1, 1),
    *at(ASKABLE, DROPPED_BEFORE, DONE, 2, 1),
    *at(FAL, DROPPED_BEFORE, UNKNOWN, 1, 0),
    *at(ASKABLE, HANGS, DONE, 1, 1),
    *at(FAL, HANGS, UNKNOWN, 1, 1),
    *at(ASKABLE, HANGS_BEFORE, DONE, 2, 1),
    *at(FAL, HANGS_BEFORE, UNKNOWN, 1, 0),
    *at(ALL, LOCKED, failed("provider_unauthorized"), 1, 0),
    *at(MODAL, NOT_THERE, failed("provider_not_deployed"), 1, 0),
    *at(COMFYUI, NOT_THERE, failed("invalid_request"), 1, 0),
    *at(FAL, NOT_THERE, failed("invalid_request"), 1, 0),
    *at(MODAL + FAL, INVALID, failed("invalid_request"), 1, 0),
    *at(COMFYUI, INVALID, failed("invalid_workflow"), 1, 0),
    *at(ALL, LIMITED, DONE, 2, 1),
    *at(MODAL, BROKE, DONE, 2, 1),
    *at(COMFYUI, BROKE, failed("invalid_workflow"), 1, 0),
    *at(FAL, BROKE, UNKNOWN, 1, 0),
    *at(ASKABLE, BROKE_AFTER, DONE, 1, 1),
    *at(FAL, BROKE_AFTER, UNKNOWN, 1, 1),
    *at(ALL, BUSY, DONE, 2, 1),
    *at(FAL, BUSY_INSIDE, UNKNOWN, 1, 0),
    *at(ASKABLE, MALFORMED, DONE, 1, 1),
    *at(FAL, MALFORMED, UNKNOWN, 1, 1),
    *at(ASKABLE, TRUNCATED, DONE, 1, 1),
    *at(FAL, TRUNCATED, UNKNOWN, 1, 1),
    *at(ASKABLE, NULL, DONE, 1, 1),
    *at(FAL, NULL, UNKNOWN, 1, 1),
    *at(ASKABLE, SLOW, DONE, 1, 1),
    *at(FAL, SLOW, UNKNOWN, 1, 1),
    *at(ASKABLE, LARGE, DONE, 1, 1),
    *at(FAL, LARGE, UNKNOWN, 1, 1),
    *at(ASKABLE, REDIRECTED, DONE, 2, 1),
    *at(FAL, REDIRECTED, UNKNOWN, 1, 0),
    *at(COMFYUI, NODE_ERRORS, failed("invalid_workflow", "yes"), 1, 1),
    *at(ALL, TOO_LATE, failed("deadline_exceeded"), 0, 0),
    *at(ASKABLE, RESTARTS_EARLY, DONE, 2, 2),
    *at(ASKABLE, UNASKED, DONE, 1, 1),
    *at(FAL, UNREPEATED, failed("outcome_unknown", "unknown"), 1, 1),
    *at(FAL, REPEATED, End("failed", "unknown", f"{UNKNOWN.said}, then stored"), 2, 2),
)
