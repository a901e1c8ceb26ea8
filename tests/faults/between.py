"""A proxy between the gateway and a provider that spoils some of the answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Kind = Literal["submit", "status", "result", "output", "cancel", "hints"]
"""
status   a question about a submission, but for the one that brings its end: that is `result`
hints    ComfyUI's websocket
"""

ALWAYS = 1_000_000
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
    complaints: list[str]
    """The gateway did something that it must not do."""
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

    async def pass_on(self) -> None:
        """The provider's answer, as it was."""
        await self.send(self.start)
        await self.say(self.body)

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
        self.complaints: list[str] = []

    def before(self, app: ASGIApp) -> ASGIApp:
        """The simulator, seen from the gateway."""
        self._app = app
        return self

    @property
    def unused(self) -> list[Kind]:
        """Return the kinds of answers that never came. Of ALWAYS, one kind must; only ComfyUI has hints."""
        unused: list[Kind] = []
        for spoil, left in self._left:
            never = [kind for kind in spoil.kinds if left[kind] == spoil.times and kind != "hints"]
            if spoil.times != ALWAYS or len(never) == len(spoil.kinds):
                unused += never
        return unused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = _kind_of(scope)
        exchange = Exchange(self._app, scope, receive, send, self._elsewhere, self.complaints)
        if scope.get("path", "").startswith("/files/") and b"authorization" in dict(scope["headers"]):
            self.complaints.append("Fal's key went to where it keeps files")
        if kind == "status":
            await exchange.ask()
            kind = "result" if _is_end(exchange) else kind
        spoil = self._next(kind) if kind else None
        if spoil is None:
            await (exchange.pass_on() if exchange.start else self._app(scope, receive, send))
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
    """Modal's 200, a finished run of ComfyUI's, Fal's result."""
    path: str = exchange.scope["path"]
    if exchange.start["status"] == 404 or path.endswith("/status"):
        return False
    if path.startswith("/api/jobs/"):
        return b'"execution_status"' in exchange.body
    if path.startswith("/history/"):
        return exchange.body != b"{}"
    return "/requests/" in path or (path.startswith("/result/") and exchange.start["status"] == 200)
