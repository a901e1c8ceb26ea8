"""Simulator of the application on Modal, by the contract of `contracts/modal_app.py`."""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from contracts.modal_app import ModalStopped, ModalSubmit, ModalSubmitted, ModalUnfinished
from deploy.modal.rejections import rejections
from deploy.modal.settings import AppSettings
from deploy.simulators.behaviour import Behaviour
from deploy.simulators.control import control_routes
from deploy.simulators.faults import FaultMiddleware
from deploy.simulators.modal_calls import ModalCalls
from deploy.simulators.serving import serve

DEFAULTS: Final = Behaviour()
DEPLOYMENT: Final = AppSettings(comfyui=True, face_swap=True)
"""Settings of the simulated deployment, with every feature on. It rejects as `deploy/modal` does."""
NO_CREDENTIALS: Final = "modal-http: missing credentials for proxy authorization"


class ProxyAuth:
    """Modal's own authentication: requests without both headers never reach the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/_sim"):
            names = {name for name, value in scope["headers"] if value}
            if not {b"modal-key", b"modal-secret"} <= names:
                response = PlainTextResponse(NO_CREDENTIALS, status_code=401)
                return await response(scope, receive, send)
        return await self._app(scope, receive, send)


class CallRoutes:
    def __init__(self, calls: ModalCalls) -> None:
        self._calls = calls

    def routes(self) -> list[Route]:
        return [
            Route("/submit", self.submit, methods=["POST"]),
            Route("/result/{call_id}", self.result),
            Route("/by-id/{id:path}", self.by_id),
            Route("/calls", self.unfinished),
            Route("/cancel/{call_id}", self.cancel, methods=["POST"]),
            Route("/outputs/{call_id}/{name}", self.output),
        ]

    async def submit(self, request: Request) -> Response:
        try:
            submitted = ModalSubmit.model_validate_json(await request.body())
        except ValidationError as error:
            detail = error.errors(include_url=False, include_context=False)
            return JSONResponse({"detail": detail}, 422)
        if rejected := rejections(submitted, DEPLOYMENT):
            return JSONResponse({"detail": [refusal.as_detail() for refusal in rejected]}, 422)
        call = self._calls.submit(submitted, request.scope.get("fault"))
        return _json(ModalSubmitted(call_id=call.id, id=submitted.id))

    async def result(self, request: Request) -> Response:
        call = self._calls.find(request.path_params["call_id"])
        if call is None:
            return _not_found()
        if call.state == "cancelled":
            return _json(ModalStopped(started=call.started is not None), 410)
        return _json(call.pending(), 202) if call.result is None else _json(call.result)

    async def by_id(self, request: Request) -> Response:
        call = self._calls.find_by_id(request.path_params["id"])
        return _json(ModalSubmitted(call_id=call.id, id=call.request.id)) if call else _not_found()

    async def unfinished(self, _: Request) -> Response:
        open_calls = [
            ModalSubmitted(call_id=call.id, id=call.request.id) for call in self._calls.unfinished()
        ]
        return _json(ModalUnfinished(calls=tuple(open_calls)))

    async def cancel(self, request: Request) -> Response:
        call = self._calls.find(request.path_params["call_id"])
        if call is not None:
            self._calls.cancel(call)
        return JSONResponse({})

    async def output(self, request: Request) -> Response:
        file = self._calls.outputs.get("{call_id}/{name}".format(**request.path_params))
        return Response(file.data, media_type=file.content_type) if file else _not_found()


def create_app(behaviour: Behaviour = DEFAULTS) -> Starlette:
    calls = ModalCalls(behaviour)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await calls.close()

    control = control_routes(
        calls.injector, calls.submission_log, forget=calls.forget, changed=calls.job_queue.fill
    )
    return Starlette(
        routes=[control, *CallRoutes(calls).routes()],
        middleware=[
            Middleware(ProxyAuth),
            Middleware(FaultMiddleware, injector=calls.injector, is_submit=_is_submit, reject=_reject),
        ],
        exception_handlers={404: _unknown_route, 405: _unknown_route},
        lifespan=lifespan,
    )


def _is_submit(scope: Scope) -> bool:
    return (scope["method"], scope["path"]) == ("POST", "/submit")


def _reject(status: int, behaviour: Behaviour) -> Response:
    if status == 422:
        return JSONResponse(
            {"detail": [{"loc": ["body", "input"], "msg": "refused", "type": "value_error"}]}, 422
        )
    headers = {"Retry-After": str(behaviour.retry_after_seconds)} if status in (429, 503) else {}
    return PlainTextResponse("modal-http: internal error", status_code=status, headers=headers)


def _json(model: BaseModel, status: int = 200) -> Response:
    return Response(model.model_dump_json(), status, media_type="application/json")


async def _unknown_route(_: Request, error: Exception) -> Response:
    """Answer as FastAPI does for an unknown route."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": error.detail}, error.status_code)


def _not_found() -> Response:
    return JSONResponse({"detail": "Not Found"}, 404)


def main() -> None:
    def build(behaviour: Behaviour, _: argparse.Namespace) -> ASGIApp:
        return create_app(behaviour)

    serve("modal", build, defaults=DEFAULTS)


if __name__ == "__main__":
    main()
