"""Each row of the fault matrix, as a script of observations: `advance` alone ends it as the row says."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from contracts.base import Provider
from contracts.renders import RenderFailed, RenderSucceeded
from services.gateways.kit.provider import (
    Completed,
    Failed,
    InProgress,
    NotAccepted,
    NotFound,
    OutcomeUnknown,
    Rejected,
    StatusUnavailable,
)
from services.gateways.runtime.lifecycle.decisions import End, Poll, RecordUnknown, Requeue, Send, WriteIntent
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from tests.fakes.provider import OUTPUT
from tests.faults.matrix import MATRIX
from tests.faults.rows import Row
from tests.faults.test_matrix import SHORT
from tests.unit.gateways.lifecycle.driver import (
    ABSENT,
    START,
    UNSUPPORTED,
    Driver,
    Script,
    accepted,
    an_attempt,
)

DONE = Completed((OUTPUT,))
FLAGGED = Completed((OUTPUT.model_copy(update={"nsfw": True}),))
RUNNING, QUEUED = InProgress("running"), InProgress("queued")
LOST = OutcomeUnknown("no usable answer")
AWAY = StatusUnavailable("500")
GONE = NotFound("the provider does not have it")
REJECTIONS = {"401": "provider_unauthorized", "404": "invalid_request", "422": "invalid_request"}
ACCEPTED_WITHOUT_ANSWER = {
    "answer lost, accepted",
    "timeout after send, accepted",
    "500, accepted",
    "malformed JSON, accepted",
    "truncated body, accepted",
    "null answer, accepted",
    "slow stream, accepted",
    "50 MB body, accepted",
    "503 with a request id",
    "answer lost, resubmit off",
    "webhook after it was given up",
}
NOT_ACCEPTED_WITHOUT_ANSWER = {
    "answer lost, not accepted",
    "timeout after send, not accepted",
    "500, not accepted",
    "redirect to another host",
    "answer lost, then restart",
}
CANCELLED_RUNNING = {
    "cancel while running",
    "cancel answered 500 at first",
    "cancel carried out, answer lost",
}
ENDS_WELL = {
    "cancel after the end",
    "webhook twice",
    "webhook before the submit answer",
    "webhook with a null payload",
    "webhook with a bad signature",
}
ELSEWHERE = {
    "cancel before the command": "the ledger has an end before there is an attempt",
    "answer lost, next attempt": "the dispatcher makes the second attempt",
}


def script_of(provider: Provider, name: str) -> Script:
    """Return the observations of a fault at a provider."""
    fal, ok = provider == "fal", accepted(provider)
    unresolved = UNSUPPORTED if fal else ok
    if name in ACCEPTED_WITHOUT_ANSWER:
        return Script([LOST], [unresolved], [DONE])
    if name == "500, not accepted" and provider == "comfyui":
        return Script([Rejected("invalid_workflow", "500")])
    if name in NOT_ACCEPTED_WITHOUT_ANSWER:
        return Script([LOST, ok], [UNSUPPORTED if fal else ABSENT], [DONE])
    if name in REJECTIONS:
        return Script([Rejected(rejection_code(provider, name), name)])
    if name in ENDS_WELL:
        return Script([ok], poll=[QUEUED, RUNNING, DONE])
    if name in CANCELLED_RUNNING:
        return Script([ok], poll=[RUNNING, stopped(provider)], cancel_after=Poll)
    if name.startswith("poll: ") and name not in SCRIPTS:
        return Script([ok], poll=[AWAY, AWAY, DONE])
    made = SCRIPTS[name]
    script: Script = made(provider, ok) if callable(made) else made
    return replace(script, send=script.send or [ok])


def rejection_code(provider: Provider, name: str) -> str:
    if (provider, name) == ("modal", "404"):
        return "provider_not_deployed"
    return "invalid_workflow" if (provider, name) == ("comfyui", "422") else REJECTIONS[name]


def busy(message: str, after_seconds: float) -> NotAccepted:
    return NotAccepted("provider_busy", message, after_seconds=after_seconds)


def stopped(provider: Provider) -> Failed:
    return Failed("cancelled", "stopped", False, "unknown" if provider == "fal" else "yes")


def broken(provider: Provider, *, retryable: bool) -> Failed:
    return Failed("provider_error", "broken", retryable, "no" if provider == "fal" else "yes")


SCRIPTS: dict[str, Any] = {
    "connect refused": Script([NotAccepted("provider_unreachable", "refused")]),
    "timeout before send": Script([NotAccepted("provider_unreachable", "timeout")]),
    "429, Retry-After 1 s": lambda p, ok: Script([busy("429", 1.0), ok], poll=[DONE]),
    "503, Retry-After 0 s": lambda p, ok: Script([busy("503", 0.0), ok], poll=[DONE]),
    "200 with node_errors": Script(poll=[RUNNING, Failed("invalid_workflow", "a node", False, "yes")]),
    "deadline passed before sending": Script(),
    "answer lost, asking fails too": lambda p, ok: Script([LOST], [AWAY, AWAY, ok], [DONE]),
    "answer lost, webhook": lambda p, ok: Script([LOST], [UNSUPPORTED, ok], [DONE]),
    "job fails for good": lambda p, ok: Script([ok], poll=[broken(p, retryable=False)]),
    "job fails, retryable": lambda p, ok: Script([ok], poll=[broken(p, retryable=True)]),
    "COMPLETED failed, result 429": lambda p, ok: Script([ok], poll=[AWAY, broken(p, retryable=True)]),
    "COMPLETED, result 404": Script(poll=[NotFound("no result", billed="yes")]),
    "flagged as nsfw": lambda p, ok: Script([ok], poll=[DONE if p == "comfyui" else FLAGGED]),
    "result is null": lambda p, ok: Script(
        [ok], poll=[Failed("no_output", "null", False, "yes")] if p == "fal" else [AWAY, DONE]
    ),
    "result is empty": Script(poll=[AWAY, AWAY, DONE]),
    "poll: 404": Script(poll=[GONE, DONE]),
    "poll: 500 until the deadline": Script(poll=[AWAY]),
    "restart, memory lost": lambda p, ok: Script(
        [ok], poll=[RUNNING, Failed("lost", "nowhere", True, "no") if p == "comfyui" else GONE]
    ),
    "restart, resubmit off": Script(poll=[RUNNING, GONE]),
    "never ends": Script(poll=[RUNNING]),
    "cancel before it is sent": Script([busy("429", 30.0)], cancel_after=Requeue),
    "cancel, outcome unknown": lambda p, ok: Script(
        [LOST], [UNSUPPORTED if p == "fal" else ok], [stopped(p)], cancel_after=RecordUnknown
    ),
    "cancel in the provider's queue": lambda p, ok: Script(
        [ok], poll=[QUEUED, replace(stopped(p), billed="unknown" if p == "fal" else "no")], cancel_after=Poll
    ),
    "cancel ignored, image comes": Script(poll=[RUNNING, RUNNING, DONE], cancel_after=Poll),
    "cancel after the end, unnoticed": Script(poll=[DONE], cancel_after=WriteIntent),
}
ROWS = [
    row for row in MATRIX if row.fault.name not in ELSEWHERE and not row.fault.name.startswith("output: ")
]


def driver_of(row: Row) -> Driver:
    limits = ProviderLimits(**(SHORT | row.fault.limits))
    deadline = START + timedelta(seconds=row.fault.deadline)
    attempt = an_attempt(provider=row.provider, deadline_at=deadline)
    return Driver(attempt, script_of(row.provider, row.fault.name), limits)


def published(end: End) -> str:
    match end.message:
        case RenderSucceeded():
            return "stored"
        case RenderFailed(code=code, retryable=retryable):
            return f"failed: {code}{', retryable' if retryable else ''}"
    return "stored" if end.state == "succeeded" else "nothing"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_row_ends_as_the_matrix_says(row: Row) -> None:
    driver = driver_of(row)
    end = driver.run()
    billed = row.fault.told or row.end.billed
    expected = (row.end.state, billed, row.end.said, row.sent)
    assert (end.state, end.billed, published(end), driver.sent) == expected


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_each_submission_follows_its_own_intent(row: Row) -> None:
    driver = driver_of(row)
    driver.run()
    before_sends = [before for before, action in pairwise(driver.actions) if isinstance(action, Send)]
    assert [type(each) for each in before_sends] == [WriteIntent] * driver.sent
