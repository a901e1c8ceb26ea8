"""Simulator of a ComfyUI 0.27.1 server: `POST /prompt`, queue, history, files and websocket events."""

import argparse
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Scope
from starlette.websockets import WebSocket

from deploy.simulators.behaviour import Behaviour
from deploy.simulators.comfyui_files import file_routes, internal_error
from deploy.simulators.comfyui_jobs import BadFilter, list_jobs
from deploy.simulators.comfyui_middleware import MAX_BYTES, RequestGuard
from deploy.simulators.comfyui_server import ComfyServer, Rejected
from deploy.simulators.comfyui_system_info import about_routes
from deploy.simulators.comfyui_validation import problem
from deploy.simulators.control import control_routes
from deploy.simulators.faults import FaultMiddleware
from deploy.simulators.python_json import PythonJSON
from deploy.simulators.serving import serve

DEFAULTS: Final = Behaviour(concurrency=1)


class PromptRoutes:
    """Routes of prompts, queue and history."""

    def __init__(self, server: ComfyServer) -> None:
        self._server = server

    def routes(self) -> list[Route]:
        return [
            _route("POST", "/prompt", self.submit),
            _route("GET", "/prompt", self.remaining),
            _route("GET", "/queue", self.queue),
            _route("POST", "/queue", self.change_queue),
            _route("POST", "/interrupt", self.interrupt),
            _route("GET", "/history", self.history),
            _route("GET", "/history/{id}", self.history_of),
            _route("POST", "/history", self.change_history),
            _route("POST", "/free", self.free),
        ]

    async def submit(self, request: Request) -> Response:
        body = await request.json()
        try:
            job, validation = self._server.submit(body, request.scope.get("fault"))
        except Rejected as rejected:
            return PythonJSON(rejected.body, 400)
        answer = {"prompt_id": job.id, "number": job.number, "node_errors": validation.node_errors}
        return PythonJSON(answer)

    async def remaining(self, _: Request) -> Response:
        return PythonJSON({"exec_info": {"queue_remaining": self._server.remaining()}})

    async def queue(self, _: Request) -> Response:
        running = [job.queue_item() for job in self._server.running]
        pending = [job.queue_item() for job in self._server.job_queue.waiting]
        return PythonJSON({"queue_running": running, "queue_pending": pending})

    async def change_queue(self, request: Request) -> Response:
        body = await request.json()
        if body.get("clear"):
            self._server.clear_waiting()
        for job_id in body.get("delete", ()):
            self._server.delete_waiting(job_id)
        return Response()

    async def interrupt(self, request: Request) -> Response:
        """Interrupt the running prompt with this id, or any running prompt without an id."""
        try:
            prompt_id = (await request.json()).get("prompt_id")
        except ValueError:
            prompt_id = None
        self._server.interrupt(lambda job: prompt_id in (None, job.id))
        return Response()

    async def history(self, request: Request) -> Response:
        jobs = list(self._server.history.values())
        most = request.query_params.get("max_items")
        offset = int(request.query_params.get("offset", "-1"))
        if most is not None:
            start = offset if offset >= 0 else max(0, len(jobs) - int(most))
            jobs = jobs[start : start + int(most)]
        return PythonJSON({job.id: job.history_entry() for job in jobs})

    async def history_of(self, request: Request) -> Response:
        job = self._server.history.get(request.path_params["id"])
        return PythonJSON({job.id: job.history_entry()} if job else {})

    async def change_history(self, request: Request) -> Response:
        body = await request.json()
        if body.get("clear"):
            self._server.history.clear()
        for job_id in body.get("delete", ()):
            self._server.history.pop(job_id, None)
        return Response()

    async def free(self, _: Request) -> Response:
        return Response()


class JobRoutes:
    """Routes under `/api/jobs`, which exist only below `/api`."""

    def __init__(self, server: ComfyServer) -> None:
        self._server = server

    def routes(self) -> list[Route]:
        return [
            _route("GET", "/jobs", self.listing),
            _route("POST", "/jobs/cancel", self.cancel_many),
            _route("GET", "/jobs/{id}", self.one),
            _route("POST", "/jobs/{id}/cancel", self.cancel),
        ]

    async def listing(self, request: Request) -> Response:
        try:
            return PythonJSON(list_jobs(self._server.all_jobs(), request.query_params))
        except BadFilter as error:
            return PythonJSON({"error": str(error)}, 400)

    async def one(self, request: Request) -> Response:
        job = self._server.find(request.path_params["id"])
        return PythonJSON(job.detail()) if job else PythonJSON({"error": "Job not found"}, 404)

    async def cancel(self, request: Request) -> Response:
        return PythonJSON({"cancelled": self._server.cancel(request.path_params["id"])})

    async def cancel_many(self, request: Request) -> Response:
        ids: list[Any] = (await request.json()).get("job_ids", [])
        wrong = [job_id for job_id in ids if not _is_uuid(job_id)]
        if wrong:
            error = "job_ids contains invalid id(s)"
            return PythonJSON({"error": error, "invalid_ids": wrong}, 400)
        ended = [self._server.cancel(job_id) for job_id in ids]
        return PythonJSON({"cancelled": any(ended)})


def create_app(
    behaviour: Behaviour = DEFAULTS, lora_dir: Path | None = None, max_bytes: int = MAX_BYTES
) -> Starlette:
    server = ComfyServer(behaviour, lora_dir)

    async def websocket(socket: WebSocket) -> None:
        await server.sockets.serve(socket, server.status, server.current_node)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        server.forget()

    routes: list[BaseRoute] = [
        WebSocketRoute("/ws", websocket),
        *PromptRoutes(server).routes(),
        *file_routes(server.disk),
        *about_routes(server.models),
    ]
    control = control_routes(
        server.injector, server.submission_log, forget=server.forget, changed=server.job_queue.fill
    )
    return Starlette(
        routes=[control, Mount("/api", routes=[*JobRoutes(server).routes(), *routes]), *routes],
        middleware=[
            Middleware(RequestGuard, max_bytes=max_bytes),
            Middleware(FaultMiddleware, injector=server.injector, is_submit=_is_submit, reject=_reject),
        ],
        exception_handlers={404: _unknown_route},
        lifespan=lifespan,
    )


def _is_submit(scope: Scope) -> bool:
    path: str = scope["path"]
    return scope["method"] == "POST" and path in ("/prompt", "/api/prompt")


def _reject(status: int, behaviour: Behaviour) -> Response:
    """Return a rejection. ComfyUI itself sends neither 429 nor 503; a proxy in front of it does."""
    if status == 422:
        text = "Prompt outputs failed validation"
        error = problem("prompt_outputs_failed_validation", text, "refused")
        return PythonJSON({"error": error, "node_errors": {}}, 400)
    headers = {"Retry-After": str(behaviour.retry_after_seconds)} if status in (429, 503) else {}
    return internal_error() if status == 500 else PlainTextResponse("try later", status, headers)


def _route(method: str, path: str, act: Callable[[Request], Awaitable[Response]]) -> Route:
    async def guarded(request: Request) -> Response:
        """Answer any unexpected exception as aiohttp does, without logging it."""
        try:
            return await act(request)
        except Exception:
            return internal_error()

    return Route(path, guarded, methods=[method])


async def _unknown_route(_: Request, __: Exception) -> Response:
    return Response(status_code=404)


def _is_uuid(value: Any) -> bool:
    try:
        return bool(str(uuid.UUID(value)) == value)
    except (ValueError, AttributeError, TypeError):
        return False


def main() -> None:
    def build(behaviour: Behaviour, options: argparse.Namespace) -> ASGIApp:
        return create_app(behaviour, options.lora_dir)

    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--lora-dir", type=Path, help="the server's models/loras")

    serve("comfyui", build, defaults=DEFAULTS, more=more)


if __name__ == "__main__":
    main()
