"""Injection of faults between a submit and its answer, independent of the provider's protocol."""

from collections.abc import Callable
from typing import Any, Final, get_args

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deploy.simulators.behaviour import Behaviour, FaultInjector, SubmitFault

Reject = Callable[[int, Behaviour], Response]
REJECTIONS: Final = ("422", "429", "500", "503")
SUBMIT_FAULTS: Final = get_args(SubmitFault)


class FaultMiddleware:
    """Middleware that injects submit faults and passes job faults on in `scope["fault"]`."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        injector: FaultInjector,
        is_submit: Callable[[Scope], bool],
        reject: Reject,
    ) -> None:
        self._app = app
        self._injector = injector
        self._is_submit = is_submit
        self._reject = reject

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._is_submit(scope):
            return await self._app(scope, receive, send)
        fault = self._injector.next_fault()
        if fault not in SUBMIT_FAULTS:
            scope["fault"] = fault
            return await self._app(scope, receive, send)
        if fault in REJECTIONS:
            response = self._reject(int(fault), self._injector.behaviour)
            return await response(scope, receive, send)
        return await self._corrupt(str(fault), scope, receive, send)

    async def _corrupt(self, fault: str, scope: Scope, receive: Receive, send: Send) -> None:
        start, body = await self._answer(scope, receive)
        if fault == "accepted_500":
            await self._reject(500, self._injector.behaviour)(scope, receive, send)
        elif fault == "malformed_json":
            await _send(send, _resized(start, len(body) // 2), body[: len(body) // 2])
        elif fault == "truncated":
            await _send(send, start, body[: len(body) // 2], more=True)
            await _close_connection(scope, receive)
        elif self._injector.behaviour.lose_answer_mode == "hang":
            await _wait_for_disconnect(receive)
        else:
            await _close_connection(scope, receive)

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
        sent: list[Message] = []

        async def keep(message: Message) -> None:
            sent.append(message)

        await self._app(scope, receive, keep)
        return sent[0], b"".join(message.get("body", b"") for message in sent[1:])


async def _send(send: Send, start: Message, body: bytes, *, more: bool = False) -> None:
    await send(start)
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _close_connection(scope: Scope, receive: Receive) -> None:
    """Close the socket; uvicorn sends nothing after a disconnect."""
    scope["transport"].close()
    await _wait_for_disconnect(receive)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _resized(start: Message, length: int) -> Message:
    headers: list[Any] = [pair for pair in start["headers"] if pair[0] != b"content-length"]
    return {**start, "headers": [*headers, (b"content-length", str(length).encode())]}
