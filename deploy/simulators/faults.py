"""What can go wrong between a submit and its answer, done outside of the protocol itself."""

from collections.abc import Callable
from typing import Any, Final, get_args

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deploy.simulators.behaviour import Behaviour, Director, SubmitFault

Refuse = Callable[[int, Behaviour], Response]
REFUSALS: Final = ("422", "429", "500", "503")
SUBMIT_FAULTS: Final = get_args(SubmitFault)


class Faults:
    """Hands a job's fault on in `scope["fault"]` and carries out the others itself."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        director: Director,
        is_submit: Callable[[Scope], bool],
        refuse: Refuse,
    ) -> None:
        self._app = app
        self._director = director
        self._is_submit = is_submit
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._is_submit(scope):
            return await self._app(scope, receive, send)
        fault = self._director.next_fault()
        if fault not in SUBMIT_FAULTS:
            scope["fault"] = fault
            return await self._app(scope, receive, send)
        if fault in REFUSALS:
            response = self._refuse(int(fault), self._director.behaviour)
            return await response(scope, receive, send)
        return await self._spoil(str(fault), scope, receive, send)

    async def _spoil(self, fault: str, scope: Scope, receive: Receive, send: Send) -> None:
        start, body = await self._answer(scope, receive)
        if fault == "accepted_500":
            await self._refuse(500, self._director.behaviour)(scope, receive, send)
        elif fault == "malformed_json":
            await _send(send, _resized(start, len(body) // 2), body[: len(body) // 2])
        elif fault == "truncated":
            await _send(send, start, body[: len(body) // 2], more=True)
            await _hang_up(scope, receive)
        elif self._director.behaviour.lose_answer_mode == "hang":
            await _until_gone(receive)
        else:
            await _hang_up(scope, receive)

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
        sent: list[Message] = []

        async def keep(message: Message) -> None:
            sent.append(message)

        await self._app(scope, receive, keep)
        return sent[0], b"".join(message.get("body", b"") for message in sent[1:])


async def _send(send: Send, start: Message, body: bytes, *, more: bool = False) -> None:
    await send(start)
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _hang_up(scope: Scope, receive: Receive) -> None:
    """Close the socket; uvicorn answers nothing more once it knows that the client is gone."""
    scope["transport"].close()
    await _until_gone(receive)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _resized(start: Message, length: int) -> Message:
    headers: list[Any] = [pair for pair in start["headers"] if pair[0] != b"content-length"]
    return {**start, "headers": [*headers, (b"content-length", str(length).encode())]}
