"""A prompt's state from single answers: proxies, failed copies of the queue, long texts, lists of jobs."""

import asyncio
from typing import Any

import httpx
import pytest

from services.gateways.comfyui.adapter import ComfyUIProvider
from services.gateways.comfyui.lookup import PROBE_SECONDS, PromptLookup
from services.gateways.comfyui.settings import ComfyUISettings
from services.gateways.kit.provider import Completed, InProgress, StatusUnavailable
from tests.fakes.provider import FakeInputs, an_attempt_request

SAVED = {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]}
SUCCESS = {"status_str": "success", "completed": True, "messages": []}
HTML = httpx.Response(404, text="<html>no such backend</html>")
KONG = httpx.Response(404, json={"error": "no Route matched with those values"})
NO_JOB = httpx.Response(404, json={"error": "Job not found"})


class Server:
    """Answers by the beginning of a path; the longest match counts."""

    def __init__(self) -> None:
        self.answers: dict[str, httpx.Response] = {}
        self.asked: list[str] = []
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer), verify=False)
        self.provider = ComfyUIProvider(self.http, ComfyUISettings(base_url="http://c"), FakeInputs())
        self.lookup = PromptLookup(self.http, "http://c")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url.path))
        fitting = [path for path in self.answers if request.url.path.startswith(path)]
        found = self.answers[max(fitting, key=len)] if fitting else HTML
        return httpx.Response(found.status_code, content=found.content)


def run(outputs: dict[str, Any]) -> dict[str, Any]:
    return {"outputs": outputs, "status": SUCCESS}


def queue(*ids: str) -> httpx.Response:
    pending = [[n, each, {}, {}, []] for n, each in enumerate(ids)]
    return httpx.Response(200, json={"queue_running": [], "queue_pending": pending})


@pytest.mark.parametrize("missing", [HTML, KONG, NO_JOB])
async def test_a_finished_prompt_is_found_whatever_404_there_is(missing: httpx.Response) -> None:
    server, request = Server(), an_attempt_request("comfyui")
    server.answers = {
        "/api/jobs": missing,
        "/history": httpx.Response(200, json={request.idempotency_key: run({"7": SAVED})}),
        "/queue": queue(),
    }
    assert isinstance(await server.provider.poll(request, {"id": request.idempotency_key}), Completed)


async def test_a_proxy_that_answers_for_a_server_that_restarts_loses_nothing() -> None:
    server, request = Server(), an_attempt_request("comfyui")
    with pytest.raises(StatusUnavailable):
        await server.provider.poll(request, {"id": request.idempotency_key})


async def test_the_jobs_api_is_tried_again_after_some_minutes() -> None:
    time = [1000.0]
    server = Server()
    server.lookup = PromptLookup(server.http, "http://c", time=lambda: time[0])
    server.answers = {"/api/jobs": HTML, "/queue": queue("one")}
    server.answers["/history"] = httpx.Response(200, json={})
    assert isinstance(await server.lookup.state_of("one"), InProgress)
    server.answers["/api/jobs"] = httpx.Response(200, json={"id": "one", "status": "in_progress"})
    assert await server.lookup.state_of("one") == InProgress("queued", queue_position=0), "not yet"
    time[0] += PROBE_SECONDS
    assert await server.lookup.state_of("one") == InProgress("running")


async def test_positions_come_from_the_list_of_jobs_by_priority() -> None:
    server = Server()
    jobs = [
        {"id": "late", "status": "pending", "priority": 7, "workflow_id": "w" * 70_000},
        {"id": "runs", "status": "in_progress", "priority": 9},
        {"id": "first", "status": "pending", "priority": -1.5},
        {"id": None, "status": "pending", "priority": 0},
        "odd",
    ]
    server.answers = {
        "/api/jobs": httpx.Response(200, json={"jobs": jobs, "pagination": {"has_more": False}}),
        "/api/jobs/late": httpx.Response(200, json={"id": "late", "status": "pending"}),
    }
    assert await server.lookup.state_of("late") == InProgress("queued", queue_position=1)
    assert (await server.lookup.unfinished()).keys() == {"late", "runs", "first"}
    assert "/queue" not in server.asked


async def test_a_failed_copy_of_the_queue_is_forgotten() -> None:
    server = Server()
    server.answers = {
        "/api/jobs": HTML,
        "/history": httpx.Response(200, json={}),
        "/queue": httpx.Response(500),
    }
    with pytest.raises(StatusUnavailable):
        await server.lookup.state_of("one")
    server.answers["/queue"] = queue("one")
    assert await server.lookup.state_of("one") == InProgress("queued", queue_position=0)


async def test_a_cancel_makes_the_next_poll_read_the_queue_again() -> None:
    server, request = Server(), an_attempt_request("comfyui")
    server.answers = {
        "/api/jobs": HTML,
        "/history": httpx.Response(200, json={}),
        "/queue": queue("before", request.idempotency_key),
        "/interrupt": httpx.Response(200),
    }
    ref = {"id": request.idempotency_key}
    assert await server.provider.poll(request, ref) == InProgress("queued", queue_position=1)
    server.answers["/queue"] = queue(request.idempotency_key)
    await asyncio.gather(server.provider.cancel(request, ref), server.provider.poll(request, ref))
    assert await server.provider.poll(request, ref) == InProgress("queued", queue_position=0)


@pytest.mark.parametrize("text", ["x" * 5_000_000, "中" * 1_000_000])
async def test_a_finished_run_with_a_long_text_is_read(text: str) -> None:
    server, request = Server(), an_attempt_request("comfyui")
    job = {
        "id": request.idempotency_key,
        "status": "completed",
        "outputs": {"9": {"text": [text]}, "7": SAVED},
        "execution_status": SUCCESS,
        "workflow": {"prompt": {"9": {"inputs": {"text": text}}}},
    }
    server.answers = {"/api/jobs": httpx.Response(200, json=job)}
    assert isinstance(await server.provider.poll(request, {"id": request.idempotency_key}), Completed)
