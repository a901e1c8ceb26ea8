"""The ways in which an answer goes wrong on its way."""

import asyncio

from starlette.responses import JSONResponse, Response
from starlette.types import Message

from tests.faults.between import Exchange, How

LARGE_BYTES = 50 * 1024 * 1024


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
    """Fifty megabytes of nothing, which nobody should read to the end."""
    await exchange.begin()
    gone = asyncio.create_task(exchange.until_gone())
    for _ in range(0, LARGE_BYTES, 65_536):
        if gone.done():
            return
        await exchange.say(b" " * 65_536, more=True)
        await asyncio.sleep(0)  # without a reader, sending does not block
    exchange.complaints.append(f"all of {exchange.scope['path']} was read")
    await exchange.say(exchange.body)


async def redirect(exchange: Exchange) -> None:
    """Go and ask somebody else, in words that could be an answer."""
    headers = {"Location": exchange.elsewhere + exchange.scope["path"]}
    await exchange.answer(JSONResponse({"status": "moved"}, 307, headers=headers))


def status(code: int, **headers: str) -> How:
    """Something else answers, with text that is no JSON."""

    async def answer(exchange: Exchange) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        await exchange.answer(Response("no", code, headers=named))

    return answer


async def missing(exchange: Exchange) -> None:
    """The provider's own word for what it does not know."""
    await exchange.answer(JSONResponse({"detail": "Not Found"}, 404))


def saying(body: bytes, content_type: str = "application/json") -> How:
    """A 200 with this body."""

    async def answer(exchange: Exchange) -> None:
        await exchange.answer(Response(body, media_type=content_type))

    return answer


def late(seconds: float) -> How:
    """The provider's own answer, after a while."""

    async def answer(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await exchange.pass_on()

    return answer


async def moved(exchange: Exchange) -> None:
    """All links in the answer lead elsewhere."""
    host = dict(exchange.scope["headers"])[b"host"]
    body = exchange.body.replace(b"http://" + host, exchange.elsewhere.encode())
    await exchange.answer(Response(body, media_type="application/json"))
