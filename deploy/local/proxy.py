"""A TCP proxy in front of a server. Its connections can be reset, and it can be closed for a while."""

import asyncio
from contextlib import suppress

CHUNK = 64 * 1024


class Proxy:
    """Listens on loopback and forwards to `host:port`."""

    def __init__(self, target: str, port: int = 0) -> None:
        self._host, _, number = target.rpartition(":")
        self._target_port = int(number)
        self._port = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def address(self) -> str:
        """Address for clients, as `host:port`."""
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.close()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def cut(self) -> None:
        """Reset every open connection; new ones are accepted."""
        for writer in list(self._writers):
            writer.transport.abort()

    def close(self) -> None:
        """Reset open connections, and new ones as soon as they are accepted."""
        self._closed = True
        self.cut()

    def open(self) -> None:
        """Forward connections again after `close`."""
        self._closed = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        if self._closed:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection(self._host, self._target_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        try:
            await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))
        finally:
            self._writers -= {writer, back}
            await asyncio.gather(_close(writer), _close(back))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, ConnectionError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.close()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
