"""What stands between the gateway and a provider, and spoils some of the answers on their way."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Kind = Literal["submit", "status", "result", "output", "cancel", "hints"]
"""
status   a question about a submission, but for the one that brings its end: that is `result`
hints    ComfyUI's websocket
"""

ALWAYS = 1_000_000
LARGE_BYTES = 50 * 1024 * 1024
OURS = ("/_sim", "/.well-known")


@dataclass
class Exchange:
    """One request to the provider, and what it answers if it is asked."""

    app: ASGIApp
    scope: Scope
    receive: Receive
    send: Send
    elsewhere: str
    """A host that nobody has any business with."""
    start: Message = field(default_factory=dict)
    body: bytes = b""

    async def ask(self) -> None:
        """Have the provider answer, and keep that."""
        kept: list[Message] = []

        async def keep(message: Message) -> None:
            kept.append(message)

        await self.app(self.scope, self.receive, keep)
        self.start, self.body = kept[0], b"".join(message.get("body", b"") for message in kept[1:])

    async def say(self, body: bytes, *, more: bool = False) -> None:
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    async def answer(self, response: Response) -> None:
        await response(self.scope, self.receive, self.send)

    async def begin(self) -> None:
        """A 200 of unknown length."""
        await self.send({"type": "http.response.start", "status": 200, "headers": []})

    async def until_gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def hang_up(self) -> None:
        self.scope["transport"].close()
        await self.until_gone()


How = Callable[[Exchange], Awaitable[None]]


@dataclass(frozen=True)
class Spoil:
    """The first `times` exchanges of each of these kinds go wrong.

    `taken`: a submission or a cancel reaches the provider all the same.
    """

    kinds: tuple[Kind, ...]
    how: How
    times: int = 1
    taken: bool = False


class Between:
    """Stands in front of a simulator. Answers that are not to be spoilt go by unchanged."""

    def __init__(self, spoils: tuple[Spoil, ...], elsewhere: str) -> None:
        self._elsewhere = elsewhere
        self._left = [(spoil, dict.fromkeys(spoil.kinds, spoil.times)) for spoil in spoils]
        self._app: ASGIApp

    def before(self, app: ASGIApp) -> ASGIApp:
        """The simulator, seen from the gateway."""
        self._app = app
        return self

    @property
    def unused(self) -> list[Kind]:
        """What was to be spoilt and never came. Of what always is, one kind must; only ComfyUI has hints."""
        never = [
            [kind for kind, times in left.items() if times == spoil.times and kind != "hints"]
            for spoil, left in self._left
        ]
        return [
            kind
            for kinds, (spoil, _) in zip(never, self._left, strict=True)
            for kind in kinds
            if spoil.times != ALWAYS or len(kinds) == len(spoil.kinds)
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = _kind_of(scope)
        exchange = Exchange(self._app, scope, receive, send, self._elsewhere)
        if kind == "status":
            await exchange.ask()
            kind = "result" if _is_end(exchange) else kind
        spoil = self._next(kind) if kind else None
        if spoil is None:
            await (unspoilt(exchange) if exchange.start else self._app(scope, receive, send))
            return
        if not exchange.start and (spoil.taken or kind == "output"):
            await exchange.ask()
        await spoil.how(exchange)

    def _next(self, kind: Kind) -> Spoil | None:
        for spoil, left in self._left:
            if left.get(kind, 0) > 0:
                left[kind] -= 1
                return spoil
        return None


def _kind_of(scope: Scope) -> Kind | None:
    path: str = scope.get("path", "")
    if scope["type"] == "websocket":
        return "hints"
    if scope["type"] != "http" or path.startswith(OURS):
        return None
    if scope["method"] == "GET":
        return "output" if path.startswith(("/outputs/", "/view", "/files/")) else "status"
    if scope["method"] == "PUT" or "/cancel" in path or path in ("/queue", "/interrupt"):
        return "cancel"
    return "submit"


def _is_end(exchange: Exchange) -> bool:
    """Modal's 200, an entry in ComfyUI's history, Fal's result."""
    path: str = exchange.scope["path"]
    if exchange.start["status"] == 404 or path.endswith("/status"):
        return False
    if path.startswith("/history/"):
        return exchange.body != b"{}"
    return "/requests/" in path or (path.startswith("/result/") and exchange.start["status"] == 200)


async def unspoilt(exchange: Exchange) -> None:
    """As the provider said it."""
    await exchange.send(exchange.start)
    await exchange.say(exchange.body)


async def closed(exchange: Exchange) -> None:
    """No websocket."""
    await exchange.send({"type": "websocket.close", "code": 1013, "reason": ""})


async def silence(exchange: Exchange) -> None:
    """No answer, and the connection stays open."""
    while (await exchange.receive()).get("more_body"):
        pass
    await exchange.until_gone()


async def hang_up(exchange: Exchange) -> None:
    """No answer, and the connection ends."""
    while (await exchange.receive()).get("more_body"):
        pass
    await exchange.hang_up()


async def forgetting(exchange: Exchange) -> None:
    """The provider restarts with its memory lost, and the connection ends."""
    scope = {**exchange.scope, "method": "POST", "path": "/_sim/forget", "raw_path": b"/_sim/forget"}
    await exchange.app(scope, exchange.receive, _unheard)
    await exchange.hang_up()


async def _unheard(_: Message) -> None:
    return None


async def cut(exchange: Exchange) -> None:
    """Half the answer, and the connection ends."""
    await exchange.send(exchange.start)
    await exchange.say(exchange.body[: len(exchange.body) // 2], more=True)
    await exchange.hang_up()


async def endless(exchange: Exchange) -> None:
    """A little more every moment, and never all of it."""
    await exchange.begin()
    gone = asyncio.create_task(exchange.until_gone())
    while not gone.done():
        await exchange.say(b" ", more=True)
        await asyncio.wait([gone], timeout=0.05)


async def slow(exchange: Exchange) -> None:
    """The whole answer, in pieces over a second."""
    await exchange.send(exchange.start)
    size = len(exchange.body) // 10 + 1
    for at in range(0, len(exchange.body), size):
        await exchange.say(exchange.body[at : at + size], more=True)
        await asyncio.sleep(0.1)
    await exchange.say(b"")


async def large(exchange: Exchange) -> None:
    """Fifty megabytes of nothing."""
    await exchange.begin()
    gone = asyncio.create_task(exchange.until_gone())
    for _ in range(0, LARGE_BYTES, 65_536):
        if gone.done():
            return
        await exchange.say(b" " * 65_536, more=True)
    await exchange.say(b"")


async def redirect(exchange: Exchange) -> None:
    """Go and ask somebody else."""
    await exchange.answer(RedirectResponse(exchange.elsewhere + exchange.scope["path"], 307))


def status(code: int, **headers: str) -> How:
    """Something else answers, with text that is no JSON."""

    async def answer(exchange: Exchange) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        await exchange.answer(Response("no", code, headers=named))

    return answer


def saying(body: bytes, content_type: str = "application/json") -> How:
    """A 200 with this body."""

    async def answer(exchange: Exchange) -> None:
        await exchange.answer(Response(body, media_type=content_type))

    return answer


def late(seconds: float) -> How:
    """The provider's own answer, after a while."""

    async def answer(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await unspoilt(exchange)

    return answer


async def moved(exchange: Exchange) -> None:
    """All links in the answer lead elsewhere."""
    host = dict(exchange.scope["headers"])[b"host"]
    body = exchange.body.replace(b"http://" + host, exchange.elsewhere.encode())
    await exchange.answer(Response(body, media_type="application/json"))
