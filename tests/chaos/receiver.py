"""Webhook receivers that are slow, fail, close connections or are down; they record accepted webhooks."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from tests.chaos.evidence import ReceivedWebhook

MOST_BYTES = 1024 * 1024


@dataclass(frozen=True)
class ReceiverBehaviour:
    """Shares of the responses of a receiver, and its delay in seconds."""

    fails: float = 0.0
    """Share answered with 500 and not recorded."""
    forgets: float = 0.0
    """Share recorded without an answer: the connection is closed."""
    delay: float = 0.0


class Receiver:
    """One endpoint on loopback; `received` is in the order of arrival."""

    def __init__(self, behaviour: ReceiverBehaviour, received: list[ReceivedWebhook], rng: Random) -> None:
        self.behaviour = behaviour
        self._received = received
        self._dice = rng
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self.down = False
        self.url = ""

    async def __aenter__(self) -> "Receiver":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=MOST_BYTES)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        with suppress(OSError, asyncio.IncompleteReadError, ConnectionError):
            try:
                while not self.down:
                    await self._one(reader, writer)
            finally:
                writer.close()
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = (line.partition(":") for line in head.splitlines()[1:])
        headers = {name.lower(): value.strip() for name, _, value in lines}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if self.behaviour.delay:
            await asyncio.sleep(self._dice.uniform(0, 2 * self.behaviour.delay))
        chance = self._dice.random()
        if self.down or chance < self.behaviour.fails:
            writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
        else:
            signed = (headers.get("webhook-timestamp", ""), headers.get("webhook-signature", ""))
            self._received.append(ReceivedWebhook(headers["webhook-id"], self.url, body, *signed))
            if chance < self.behaviour.fails + self.behaviour.forgets:
                raise ConnectionError("recorded, and not answered")
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
