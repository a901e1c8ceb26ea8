"""Simulator of fal: its queue with status, result and webhook, its storage, and its webhook keys."""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from deploy.simulators.behaviour import Behaviour
from deploy.simulators.control import control_routes
from deploy.simulators.fal_jobs import REQUEST_PATH, FalJob
from deploy.simulators.fal_queue import FalQueue, unknown_endpoint_error
from deploy.simulators.fal_storage import storage_routes
from deploy.simulators.faults import FaultMiddleware
from deploy.simulators.serving import serve

DEFAULTS: Final = Behaviour()
RESERVED_PATHS: Final = ("/storage/", "/files/", "/_sim/", "/.well-known/")


class QueueRoutes:
    """Routes `/{endpoint}` and `/{app}/requests/{id}...`; endpoints have any number of path segments."""

    def __init__(self, queue: FalQueue) -> None:
        self._queue = queue

    async def __call__(self, request: Request) -> Response:
        if not request.headers.get("authorization", "").startswith("Key "):
            return _detail(401, "Authentication is required to access this application")
        path: str = request.path_params["path"].strip("/")
        found = REQUEST_PATH.fullmatch(path)
        if found is None:
            return await self._submit(request, path)
        job = self._queue.find(found["app"], found["id"])
        if job is None:
            if found["tail"] == "/cancel":
                return JSONResponse({"status": "NOT_FOUND"}, 404)
            return _detail(404, "Request not found")
        return self._answer(request, job, found["tail"])

    def _answer(self, request: Request, job: FalJob, tail: str) -> Response:
        with_logs = request.query_params.get("logs", "") in ("1", "true")
        if tail == "/cancel":
            return self._cancel(request, job)
        if request.method != "GET":
            return _detail(405, "Method Not Allowed")
        if tail == "/status":
            return JSONResponse(self._queue.status(job, with_logs=with_logs))
        if tail == "/status/stream":
            stream = self._stream(job, with_logs)
            return StreamingResponse(stream, media_type="text/event-stream")
        return _result(job)

    async def _submit(self, request: Request, endpoint: str) -> Response:
        if request.method != "POST":
            return _detail(405, "Method Not Allowed")
        if unknown := unknown_endpoint_error(endpoint):
            return _detail(404, unknown)
        try:
            arguments = await request.json()
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            return _detail(400, "The body must be a JSON object")
        longest = request.query_params.get("fal_max_queue_length")
        if longest is not None and len(self._queue.job_queue) > int(longest):
            return _detail(429, "Queue is too long")
        job = self._accept(request, endpoint, arguments)
        position = self._queue.job_queue.position(job.arrival)
        body = {"status": "IN_QUEUE", "queue_position": position, **job.urls()}
        return JSONResponse(body, headers={"x-fal-request-id": job.id})

    def _accept(self, request: Request, endpoint: str, arguments: dict[str, object]) -> FalJob:
        start_within = request.headers.get("x-fal-request-timeout")
        return self._queue.submit(
            endpoint,
            f"{request.url.scheme}://{request.url.netloc}",
            arguments,
            webhook=request.query_params.get("fal_webhook"),
            attempt=request.headers.get("x-attempt-id"),
            start_within=float(start_within) if start_within else None,
            fault=request.scope.get("fault"),
        )

    def _cancel(self, request: Request, job: FalJob) -> Response:
        if request.method != "PUT":
            return _detail(405, "Method Not Allowed")
        if self._queue.cancel(job):
            return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202)
        return JSONResponse({"status": "ALREADY_COMPLETED"}, 400)

    async def _stream(self, job: FalJob, with_logs: bool) -> AsyncIterator[str]:
        last = ""
        while True:
            status = json.dumps(self._queue.status(job, with_logs=with_logs))
            if status != last:
                last = status
                yield f"data: {status}\n\n"
            if job.state == "COMPLETED":
                return
            await asyncio.sleep(0.05)


def create_app(behaviour: Behaviour = DEFAULTS, webhook_key_seed: str | None = None) -> Starlette:
    queue = FalQueue(behaviour, webhook_key_seed)

    async def jwks(_: Request) -> Response:
        return JSONResponse(queue.signer.jwks())

    async def deliveries(_: Request) -> Response:
        return JSONResponse(queue.webhooks.deliveries)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await queue.close()

    return Starlette(
        routes=[
            Route("/_sim/webhooks", deliveries),
            control_routes(
                queue.injector,
                queue.submission_log,
                forget=queue.forget,
                changed=queue.job_queue.fill,
            ),
            Route("/.well-known/jwks.json", jwks),
            *storage_routes(queue.uploads, queue.outputs),
            Route("/{path:path}", QueueRoutes(queue).__call__, methods=["GET", "POST", "PUT"]),
        ],
        middleware=[
            Middleware(FaultMiddleware, injector=queue.injector, is_submit=_is_submit, reject=_reject)
        ],
        lifespan=lifespan,
    )


def _is_submit(scope: Scope) -> bool:
    path: str = scope["path"]
    own = path.startswith(RESERVED_PATHS) or "/requests/" in path
    return scope["method"] == "POST" and not own


def _reject(status: int, behaviour: Behaviour) -> Response:
    if status == 422:
        detail = [{"loc": ["body", "prompt"], "msg": "refused", "type": "value_error"}]
        return JSONResponse({"detail": detail}, 422, headers={"X-Fal-Error-Type": "value_error"})
    headers = {"Retry-After": str(behaviour.retry_after_seconds)} if status in (429, 503) else {}
    return JSONResponse({"detail": "Service is not available"}, status, headers=headers)


def _result(job: FalJob) -> Response:
    if job.answer is None:
        return _detail(400, "Request is still in progress")
    headers = {"x-fal-request-id": job.id, **job.answer.headers}
    return JSONResponse(job.answer.body, job.answer.status, headers=headers)


def _detail(status: int, detail: str) -> Response:
    return JSONResponse({"detail": detail}, status)


def main() -> None:
    def build(behaviour: Behaviour, options: argparse.Namespace) -> ASGIApp:
        return create_app(behaviour, options.webhook_key_seed)

    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--webhook-key-seed", help="the same seed gives the same signing key")

    serve("fal", build, defaults=DEFAULTS, more=more)


if __name__ == "__main__":
    main()
