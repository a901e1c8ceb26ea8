"""ComfyUI's answers, recorded and odd: what is read in them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

import tests.contract
from services.gateways.kit.provider import (
    AttemptStatus,
    Completed,
    Failed,
    InProgress,
    NotAccepted,
    NotFound,
    Rejected,
    StatusUnavailable,
)
from shared.ids import uuid7
from tests.fakes.adapters import AdapterHarness, an_adapter, an_adapter_harness, lookup_of
from tests.fakes.provider import FakeInputs, an_attempt_request

SAMPLES = Path(tests.contract.__file__).parent / "samples" / "comfyui"


REFERENCE, FACE = f"{uuid7()}/0", f"{uuid7()}/1"


class Played:
    """An old server, without `/api/jobs`: recorded answers by path, all with `status` but the queue's."""

    def __init__(self, status: int = 200, **answers: Any) -> None:
        self.asked: list[str] = []
        self.status = status
        self.answers = answers
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer), verify=False)
        self.provider = an_adapter("comfyui", http, "http://comfyui.internal", FakeInputs())

    def _answer(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.split("/")[1]
        self.asked.append(name)
        if name == "api":
            return httpx.Response(404, text="404: Not Found")
        return httpx.Response(200 if name == "queue" else self.status, json=self.answers.get(name, {}))

    async def poll(self, prompt_id: str) -> AttemptStatus:
        return await self.provider.poll(an_attempt_request("comfyui"), {"id": prompt_id})


IDLE: dict[str, Any] = {"queue_running": [], "queue_pending": []}


def recorded(name: str, path: str) -> list[Any]:
    """The bodies that a real server gave for a path, in order."""
    events = json.loads((SAMPLES / f"{name}.json").read_text())
    return [
        event["body"]
        for event in events
        if event["kind"] == "http" and event["request"]["path"].startswith(path) and event["status"] == 200
    ]


@pytest.fixture
async def harness() -> AsyncIterator[AdapterHarness]:
    async with an_adapter_harness("comfyui") as made:
        made.inputs.images.update({REFERENCE: b"reference", FACE: b"face"})
        yield made


async def test_polls_within_seconds_share_one_copy_of_an_old_servers_queue() -> None:
    queue = recorded("05_cancel_queued", "/queue")[0]
    played = Played(queue=queue)
    running = queue["queue_running"][0][1]
    for _ in range(5):
        assert await played.poll(running) == InProgress("running")
    assert played.asked.count("queue") == 1
    assert played.asked.count("api") == 1, "what the server does not have is asked for once"


async def test_a_recorded_queue_tells_who_runs_and_who_waits_where() -> None:
    queue = recorded("05_cancel_queued", "/queue")[0]
    running, first, second = queue["queue_running"][0][1], *(item[1] for item in queue["queue_pending"])
    played = Played(queue=queue)
    assert await played.poll(running) == InProgress("running")
    assert await played.poll(first) == InProgress("queued", queue_position=0)
    assert await played.poll(second) == InProgress("queued", queue_position=1)


async def test_a_recorded_success_names_its_file() -> None:
    history = recorded("01_success", "/history/")[0]
    status = await Played(queue=IDLE, history=history).poll(next(iter(history)))
    assert isinstance(status, Completed)
    assert [output.path for output in status.outputs] == [
        "/view?filename=lab_00001_.png&subfolder=&type=output"
    ]


async def test_a_recorded_failure_names_the_node_and_is_final() -> None:
    for history in recorded("04_execution_error", "/history/"):
        status = await Played(queue=IDLE, history=history).poll(next(iter(history)))
        assert isinstance(status, Failed)
        assert (status.code, status.retryable, status.billed) == ("provider_error", False, "yes")
        assert status.message.startswith("LabFail: RuntimeError: ")


async def test_a_recorded_interruption_is_no_failure_of_the_graph() -> None:
    history = recorded("06_interrupt_running", "/history/")[0]
    status = await Played(queue=IDLE, history=history).poll(next(iter(history)))
    assert isinstance(status, Failed)
    assert (status.code, status.retryable) == ("cancelled", False)


async def test_a_recorded_restart_has_lost_everything() -> None:
    [empty] = recorded("19_server_restart", "/queue")
    played = Played(queue=empty, history={})
    status = await played.poll(str(uuid7()))
    assert isinstance(status, Failed)
    assert (status.code, status.retryable, status.billed) == ("lost", True, "no")
    assert played.asked[-2:] == ["queue", "history"], "what moves between the two is not missed"
    assert played.asked.count("history") == 4, "one no is not believed"


@pytest.mark.parametrize("answers", [{"queue": {}}, {"queue": []}, {"queue": IDLE, "history": [1]}])
async def test_nonsense_is_no_answer(answers: dict[str, Any]) -> None:
    with pytest.raises(StatusUnavailable):
        await Played(**answers).poll("any")


@pytest.mark.parametrize(
    ("status", "error"), [(400, Rejected), (413, Rejected), (500, NotAccepted), (503, NotAccepted)]
)
async def test_an_upload_is_refused_or_comes_later(status: int, error: type[Exception]) -> None:
    class Full:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            full = scope.get("path") == "/upload/image"
            await (Response("no", status) if full else self._app)(scope, receive, send)

    async with an_adapter_harness("comfyui", wrap=Full) as harness:
        harness.inputs.images[REFERENCE] = b"reference"
        with pytest.raises(error):
            await harness.provider.prepare(an_attempt_request("comfyui", reference=REFERENCE))


async def test_an_answer_about_another_prompt_is_not_ours() -> None:
    class Confused:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            other = {"prompt_id": str(uuid7()), "number": 1, "node_errors": {}}
            submit = scope.get("path") == "/prompt"
            await (JSONResponse(other) if submit else self._app)(scope, receive, send)

    async with an_adapter_harness("comfyui", wrap=Confused) as harness:
        request = an_attempt_request("comfyui")
        with pytest.raises(Exception, match="submit answered for prompt"):
            await harness.submit(request)
        assert await lookup_of(harness.provider).find(request) is None


@pytest.mark.parametrize("status", [201, 204, 302, 400, 404, 502, 503])
async def test_a_history_that_is_no_good_answer_does_not_say_that_a_prompt_is_lost(status: int) -> None:
    played = Played(status, queue=IDLE, history={})
    with pytest.raises(StatusUnavailable):
        await played.poll("p-1")
    with pytest.raises(StatusUnavailable):
        await lookup_of(played.provider).find(an_attempt_request("comfyui"))


class Broken:
    """A server that answers 500 for one prompt, or for all."""

    def __init__(self) -> None:
        self.prompt_id = "none"
        self.is_broken = False

    def wrap(self, app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            path = str(scope.get("path", ""))
            asked = scope["type"] == "http" and path.startswith(("/api/jobs", "/history", "/queue"))
            if asked and (self.is_broken or path.endswith(self.prompt_id)):
                return await Response("500: Internal Server Error", 500)(scope, receive, send)
            return await app(scope, receive, send)

        return answer


async def test_an_end_for_which_a_healthy_server_answers_500_is_not_waited_for_until_the_deadline() -> None:
    broken = Broken()
    async with an_adapter_harness("comfyui", wrap=broken.wrap) as harness:
        request = an_attempt_request("comfyui")
        ref = await harness.submit(request)
        await harness.end(request, ref)
        broken.prompt_id = request.idempotency_key
        status = await harness.provider.poll(request, ref)
        assert isinstance(status, NotFound)
        assert (status.code, status.retryable) == ("result_unreadable", False)
        assert await lookup_of(harness.provider).find(request) == {"id": request.idempotency_key}


async def test_a_prompt_that_runs_is_followed_by_the_list_where_its_own_entry_is_broken() -> None:
    broken = Broken()
    async with an_adapter_harness("comfyui", wrap=broken.wrap, latency_seconds=30) as harness:
        request = an_attempt_request("comfyui")
        ref = await harness.submit(request)
        broken.prompt_id = request.idempotency_key
        assert await harness.provider.poll(request, ref) == InProgress("running")


async def test_a_server_that_answers_500_to_everything_is_asked_again_later() -> None:
    broken = Broken()
    async with an_adapter_harness("comfyui", wrap=broken.wrap) as harness:
        request = an_attempt_request("comfyui")
        ref = await harness.submit(request)
        broken.is_broken = True
        with pytest.raises(StatusUnavailable):
            await harness.provider.poll(request, ref)
