"""HTTP → ports: the contract of `contracts/modal_app.py`, without a word about Modal's cloud."""

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
    Files,
    Ids,
    NothingStarted,
    OpenCalls,
    Sight,
    Stopped,
    Superseded,
    Unavailable,
)
from deploy.modal.refusals import Refusal

RETRY_AFTER: Final = {"Retry-After": "2"}
MOST_HOPS: Final = 4
Refuse = Callable[[ModalSubmit], list[Refusal]]


def create_api(
    calls: Calls, ids: Ids, open_calls: OpenCalls, files: Files, refuse: Refuse = lambda asked: []
) -> FastAPI:
    """`refuse` says what of a request this deployment cannot do; then nothing is started."""
    api = FastAPI(title="imagegen on Modal", docs_url=None, redoc_url=None, openapi_url=None)
    api.add_exception_handler(Unavailable, _unavailable)
    api.add_exception_handler(RequestValidationError, _invalid)
    routes = CallRoutes(calls, ids, open_calls, files, refuse)
    api.post("/submit")(routes.submit)
    api.get("/result/{call_id}", response_model=None)(routes.result)
    api.get("/by-id/{our_id:path}")(routes.by_id)
    api.get("/calls")(routes.unfinished)
    api.post("/cancel/{call_id}")(routes.cancel)
    api.get("/outputs/{call_id}/{name}", response_model=None)(routes.output)
    return api


class CallRoutes:
    """Asks whether a call is ours before anything else: the app may see every call of its workspace."""

    def __init__(self, calls: Calls, ids: Ids, open_calls: OpenCalls, files: Files, refuse: Refuse) -> None:
        self._calls = calls
        self._ids = ids
        self._open = open_calls
        self._files = files
        self._refuse = refuse

    async def submit(self, asked: ModalSubmit) -> ModalSubmitted:
        if refusals := self._refuse(asked):
            raise HTTPException(422, [refusal.as_detail() for refusal in refusals])
        call_id = await self._ids.submit(asked.id, partial(self._start, asked))
        return ModalSubmitted(call_id=call_id, id=asked.id)

    async def _start(self, asked: ModalSubmit) -> str:
        call_id = await self._calls.start(asked)
        with suppress(Unavailable):  # the list is an aid: a call that runs is not denied for it
            await self._open.add(call_id, asked.id)
        return call_id

    async def result(self, call_id: str) -> Response:
        sight = await self._look(call_id)
        if isinstance(sight, ModalPending):
            return _json(sight, 202)
        if is_call_id(call_id):
            with suppress(Unavailable):
                await self._open.remove(call_id)
        if isinstance(sight, ModalResult):
            return _json(sight)
        if isinstance(sight, Stopped):
            return _json(ModalStopped(started=sight.started), 410)
        raise HTTPException(404)

    async def unfinished(self) -> ModalUnfinished:
        """Ended calls that nobody has looked at since may be among them."""
        found = (await self._open.all()).items()
        return ModalUnfinished(calls=tuple(ModalSubmitted(call_id=each, id=ours) for each, ours in found))

    async def by_id(self, our_id: str) -> ModalSubmitted:
        call_id = await self._ids.find(our_id)
        if call_id is None:
            raise HTTPException(404)
        return ModalSubmitted(call_id=call_id, id=our_id)

    async def cancel(self, call_id: str) -> dict[str, Any]:
        """What has ended is left alone, so that its result stays what it was."""
        holder = await self._ids.hold(call_id) if is_call_id(call_id) else None
        for each in {call_id, holder} if holder else ():
            if isinstance(await self._calls.look(each), ModalPending):
                await self._calls.cancel(each)
        return {}

    async def output(self, call_id: str, name: str) -> Response:
        path = volume_path(call_id, name)
        pieces = await self._files.open(path) if path else None
        if pieces is None:
            raise HTTPException(404)
        return StreamingResponse(pieces, media_type=content_type(name))

    async def _look(self, call_id: str) -> Sight | None:
        """How the call stands, or the one that works in its place."""
        for _ in range(MOST_HOPS):
            if not is_call_id(call_id) or not await self._ids.knows(call_id):
                return None
            sight = await self._calls.look(call_id)
            if not isinstance(sight, Superseded):
                return sight
            call_id = sight.call_id
        return None


def _json(model: ModalModel, status: int = 200) -> Response:
    return Response(model.model_dump_json(), status, media_type="application/json")


async def _unavailable(_: Request, error: Exception) -> Response:
    undecided = {} if isinstance(error, NothingStarted) else {UNDECIDED: "1"}
    return JSONResponse({"detail": str(error)[:500]}, 503, headers=RETRY_AFTER | undecided)


async def _invalid(_: Request, error: Exception) -> Response:
    """Without the input itself, which may be long and is the caller's own."""
    assert isinstance(error, RequestValidationError)
    detail = [{key: entry[key] for key in ("loc", "msg", "type")} for entry in error.errors()]
    return JSONResponse({"detail": detail}, 422)
