"""HTTP routes of the contract in `contracts/modal_app.py`, independent of Modal's API."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse

from contracts.modal_app import (
    UNDECIDED,
    ModalModel,
    ModalPending,
    ModalResult,
    ModalStopped,
    ModalSubmit,
    ModalSubmitted,
    ModalUnfinished,
)
from deploy.modal.outputs import content_type, is_call_id, volume_path
from deploy.modal.ports import (
    Calls,
    CallState,
    Files,
    Ids,
    NothingStarted,
    OpenCalls,
    Stopped,
    Superseded,
    Unavailable,
)
from deploy.modal.rejections import Rejection

RETRY_AFTER: Final = {"Retry-After": "2"}
MAX_HOPS: Final = 4
Reject = Callable[[ModalSubmit], list[Rejection]]


def create_api(
    calls: Calls, ids: Ids, open_calls: OpenCalls, files: Files, reject: Reject = lambda request: []
) -> FastAPI:
    """Return the application. `reject` lists the reasons why this deployment cannot serve a request."""
    api = FastAPI(title="imagegen on Modal", docs_url=None, redoc_url=None, openapi_url=None)
    api.add_exception_handler(Unavailable, _unavailable)
    api.add_exception_handler(RequestValidationError, _invalid)
    routes = CallRoutes(calls, ids, open_calls, files, reject)
    api.post("/submit")(routes.submit)
    api.get("/result/{call_id}", response_model=None)(routes.result)
    api.get("/by-id/{idempotency_key:path}")(routes.by_id)
    api.get("/calls")(routes.unfinished)
    api.post("/cancel/{call_id}")(routes.cancel)
    api.get("/outputs/{call_id}/{name}", response_model=None)(routes.output)
    return api


class CallRoutes:
    """Route handlers. They serve calls of this application only, though it may read its whole workspace."""

    def __init__(self, calls: Calls, ids: Ids, open_calls: OpenCalls, files: Files, reject: Reject) -> None:
        self._calls = calls
        self._ids = ids
        self._open = open_calls
        self._files = files
        self._reject = reject

    async def submit(self, request: ModalSubmit) -> ModalSubmitted:
        if rejections := self._reject(request):
            raise HTTPException(422, [rejection.as_detail() for rejection in rejections])
        call_id = await self._ids.submit(request.id, partial(self._start, request))
        return ModalSubmitted(call_id=call_id, id=request.id)

    async def _start(self, request: ModalSubmit) -> str:
        call_id = await self._calls.start(request)
        with suppress(Unavailable):  # the index is optional, the call runs either way
            await self._open.add(call_id, request.id)
        return call_id

    async def result(self, call_id: str) -> Response:
        state = await self._status(call_id)
        if isinstance(state, ModalPending):
            return _json(state, 202)
        if is_call_id(call_id):
            with suppress(Unavailable):
                await self._open.remove(call_id)
        if isinstance(state, ModalResult):
            return _json(state)
        if isinstance(state, Stopped):
            return _json(ModalStopped(started=state.started), 410)
        raise HTTPException(404)

    async def unfinished(self) -> ModalUnfinished:
        """Return the open calls. Ended calls whose result was not read yet may be among them."""
        found = (await self._open.all()).items()
        return ModalUnfinished(calls=tuple(ModalSubmitted(call_id=each, id=ours) for each, ours in found))

    async def by_id(self, idempotency_key: str) -> ModalSubmitted:
        call_id = await self._ids.find(idempotency_key)
        if call_id is None:
            raise HTTPException(404)
        return ModalSubmitted(call_id=call_id, id=idempotency_key)

    async def cancel(self, call_id: str) -> dict[str, Any]:
        """Cancel a call that has not ended; the result of an ended one is kept."""
        holder = await self._ids.pin(call_id) if is_call_id(call_id) else None
        for each in {call_id, holder} if holder else ():
            if isinstance(await self._calls.status(each), ModalPending):
                await self._calls.cancel(each)
        return {}

    async def output(self, call_id: str, name: str) -> Response:
        path = volume_path(call_id, name)
        pieces = await self._files.open(path) if path else None
        if pieces is None:
            raise HTTPException(404)
        return StreamingResponse(pieces, media_type=content_type(name))

    async def _status(self, call_id: str) -> CallState | None:
        """Return the state of the call, or of the call that superseded it."""
        for _ in range(MAX_HOPS):
            if not is_call_id(call_id) or not await self._ids.is_known(call_id):
                return None
            state = await self._calls.status(call_id)
            if not isinstance(state, Superseded):
                return state
            call_id = state.call_id
        return None


def _json(model: ModalModel, status: int = 200) -> Response:
    return Response(model.model_dump_json(), status, media_type="application/json")


async def _unavailable(_: Request, error: Exception) -> Response:
    undecided = {} if isinstance(error, NothingStarted) else {UNDECIDED: "1"}
    return JSONResponse({"detail": str(error)[:500]}, 503, headers=RETRY_AFTER | undecided)


async def _invalid(_: Request, error: Exception) -> Response:
    """Return the validation errors without the input, which may be long and private."""
    assert isinstance(error, RequestValidationError)
    detail = [{key: entry[key] for key in ("loc", "msg", "type")} for entry in error.errors()]
    return JSONResponse({"detail": detail}, 422)
