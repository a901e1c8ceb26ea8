"""Robustness of adapters against malformed answers: each gives a status, a rejection or an unavailable
status.

Each value of each answer is replaced by values of other types, one at a time.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from contracts.base import Provider as ProviderName
from contracts.renders import RenderProgressed, RenderSucceeded
from services.gateways.kit.provider import (
    AttemptRequest,
    AttemptStatus,
    Completed,
    Failed,
    InProgress,
    NotAccepted,
    OutcomeUnknown,
    Rejected,
    StatusUnavailable,
    SubmissionRef,
)
from shared.clock import now
from tests.contract.recording import IDLE, events_of
from tests.fakes.adapters import an_adapter
from tests.fakes.provider import FakeInputs, an_attempt_request

MALFORMED: tuple[Any, ...] = (None, [], {}, "x" * 70_000, "\x00/\n", -1, True, {"x": 1})
UNREAD = (
    "prompt", "meta", "workflow", "execution_error", "preview_output",
    "traceback", "current_inputs", "current_outputs", "timings",
)  # fmt: skip
"""Large parts of ComfyUI's answers that no adapter reads."""
URL = "https://provider.example"
FAL = {
    "id": "r1",
    "status_url": f"{URL}/a/b/requests/r1/status",
    "response_url": f"{URL}/a/b/requests/r1",
    "cancel_url": f"{URL}/a/b/requests/r1/cancel",
}
IMAGES = json.loads(events_of("fal/webhook_vector")["body"])["payload"] | {"has_nsfw_concepts": [False]}
COMPLETED = {"status": "COMPLETED", "metrics": {"inference_time": 1.5}}
DETAIL = [{"loc": ["body", "prompt"], "msg": "too long", "type": "sequence_too_long"}]
OUTPUT = {"path": "/outputs/fc-1/0.png", "content_type": "image/png", "nsfw": False}
DONE = {"status": "succeeded", "outputs": [OUTPUT], "seed": 7, "gpu_seconds": 1.5}
FAILED = {"status": "failed", "error": {"type": "ValueError", "message": "no", "retryable": False}}

Answers = dict[str, tuple[int, Any]]
"""Status and body by the last part of a path."""


def recorded(name: str, path: str) -> list[Any]:
    """Return the recorded bodies of a ComfyUI server for a path."""
    events = events_of(f"comfyui/{name}")
    http = [event for event in events if event["kind"] == "http" and event["status"] == 200]
    return [event["body"] for event in http if event["request"]["path"].startswith(path) and event["body"]]


HISTORIES = [
    *recorded("01_success", "/history/")[:1],
    *recorded("04_execution_error", "/history/"),
    *recorded("06_interrupt_running", "/history/")[:1],
]
QUEUES = [recorded("05_cancel_queued", "/queue")[0], recorded("12_queue_order_and_housekeeping", "/queue")[0]]
JOB = "job"
"""Placeholder for `/api/jobs/{id}`; an old server answers it with 404."""
JOBS = [
    body
    for name in ("01_success", "05_cancel_queued", "06_interrupt_running")
    for body in recorded(name, "/api/jobs/")
    if "id" in body
]
REJECTION = next(
    event["body"]
    for event in events_of("comfyui/03_validation_errors")
    if event["kind"] == "http" and event["note"] == "required_input_missing"
)


@dataclass(frozen=True)
class Poll:
    """The answers to one poll, one of which is corrupted."""

    provider: ProviderName
    answers: Answers
    corrupted: str
    ref: SubmissionRef

    def __str__(self) -> str:
        return f"{self.provider} {self.corrupted[:8]} {str(self.answers[self.corrupted])[:60]}"


def of_history(body: dict[str, Any]) -> Poll:
    [prompt_id] = body
    return Poll("comfyui", {"queue": (200, IDLE), prompt_id: (200, body)}, prompt_id, {"id": prompt_id})


def of_job(body: dict[str, Any]) -> Poll:
    return Poll("comfyui", {"queue": (200, IDLE), JOB: (200, body)}, JOB, {"id": body["id"]})


def of_queue(body: dict[str, Any]) -> Poll:
    short = {name: [[*item[:2], {}] for item in items] for name, items in body.items()}
    prompt_id = body["queue_pending"][0][1]
    return Poll("comfyui", {"queue": (200, short), prompt_id: (200, {})}, "queue", {"id": prompt_id})


def of_fal(corrupted: str, status: dict[str, Any], code: int = 200, result: Any = None) -> Poll:
    return Poll("fal", {"status": (200, status), "r1": (code, result)}, corrupted, FAL)


def of_modal(code: int, body: dict[str, Any]) -> Poll:
    return Poll("modal", {"fc-1": (code, body)}, "fc-1", {"id": "fc-1"})


POLLS = [
    *map(of_history, HISTORIES),
    *map(of_queue, QUEUES),
    *map(of_job, JOBS),
    of_fal("status", {"status": "IN_QUEUE", "queue_position": 3}),
    of_fal("status", COMPLETED, 200, IMAGES),
    of_fal("status", COMPLETED | {"error_type": "runner_disconnected", "error": "gone"}, 503, {}),
    of_fal("r1", COMPLETED, 200, IMAGES),
    of_fal("r1", COMPLETED, 422, {"detail": DETAIL}),
    of_fal("r1", COMPLETED, 500, {"detail": "Runner failed", "error_type": "runner_server_error"}),
    of_modal(200, DONE),
    of_modal(200, FAILED),
    of_modal(202, {"status": "running", "progress": 41.5}),
]
SUBMISSIONS: list[tuple[ProviderName, int, Any]] = [
    ("fal", 200, {"request_id": "r1", "status_url": FAL["status_url"], "queue_position": 0}),
    ("modal", 200, {"call_id": "fc-1", "id": "our-id"}),
    ("comfyui", 200, {"prompt_id": "our-id", "number": 1, "node_errors": {}}),
    ("comfyui", 200, {"prompt_id": "our-id", "node_errors": REJECTION["node_errors"]}),
    ("comfyui", 400, REJECTION),
]


def malformed_versions(value: Any) -> Iterator[Any]:
    """Yield the value with one of its parts replaced, for all parts."""
    yield from MALFORMED
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        for malformed in malformed_versions(None if key in UNREAD else part):
            changed = value.copy()
            changed[key] = malformed
            yield changed


def adapter_answering(name: ProviderName, answers: Answers) -> Any:
    """Return an adapter whose provider gives these answers, and 404 to any other request."""

    def answer(request: httpx.Request) -> httpx.Response:
        folder, _, name = request.url.path.rpartition("/")
        status, body = answers.get(JOB if folder == "/api/jobs" else name, (404, {}))
        return httpx.Response(status, text=json.dumps(body))

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), verify=False)
    return an_adapter(name, http, URL, FakeInputs())


def check_publishable(request: AttemptRequest, status: AttemptStatus) -> None:
    """Check that a status can be published as an event."""
    of: dict[str, Any] = {
        "attempt_id": request.attempt_id,
        "job_id": request.attempt_id.partition("/")[0],
        "tenant": "acme",
        "provider": "fal",
        "at": now(),
    }
    match status:
        case InProgress(state, percent, position):
            of |= {"state": state, "percent": percent, "queue_position": position}
            RenderProgressed.model_validate(of).model_dump_json()
        case Completed(outputs=outputs, seed=seed, seconds=seconds):
            of |= {"spec": request.spec, "outputs": outputs, "seed": seed or 0, "provider_seconds": seconds}
            RenderSucceeded.model_validate(of).model_dump_json()
        case Failed(message=message):
            assert len(message) <= 1000, "an error is meant for people"


@pytest.mark.parametrize("poll", POLLS, ids=str)
async def test_a_malformed_answer_to_a_poll_is_a_status_or_none(poll: Poll) -> None:
    request = an_attempt_request(poll.provider)
    status, body = poll.answers[poll.corrupted]
    check_publishable(request, await adapter_answering(poll.provider, poll.answers).poll(request, poll.ref))
    for malformed in malformed_versions(body):
        provider = adapter_answering(poll.provider, poll.answers | {poll.corrupted: (status, malformed)})
        try:
            found = await provider.poll(request, poll.ref)
        except StatusUnavailable:
            continue
        check_publishable(request, found)


@pytest.mark.parametrize(("name", "status", "body"), SUBMISSIONS, ids=str)
async def test_a_malformed_answer_to_a_submission_is_a_reference_or_a_known_outcome(
    name: ProviderName, status: int, body: dict[str, Any]
) -> None:
    request, longest = an_attempt_request(name), 0
    for malformed in malformed_versions(
        json.loads(json.dumps(body).replace("our-id", request.idempotency_key))
    ):
        answers = dict.fromkeys(("submit", "prompt", "dev"), (status, malformed)) | {"queue": (200, IDLE)}
        provider = adapter_answering(name, answers)
        try:
            ref = await provider.submit(request, await provider.prepare(request))
        except (Rejected, NotAccepted, OutcomeUnknown) as error:
            longest = max(longest, len(str(error)))
        else:
            with suppress(StatusUnavailable):
                await provider.poll(request, ref)
    assert longest <= 1200, "an error is meant for people"
