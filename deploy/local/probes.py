"""Is it ready? Small questions asked of a starting process."""

import asyncio
from collections.abc import Awaitable, Callable

from deploy.local.ports import HOST

Probe = Callable[[], Awaitable[bool]]

ANSWER_SECONDS = 2.0


def accepts(port: int) -> Probe:
    """It takes connections."""

    async def probe() -> bool:
        return await _ask(port, b"", expect=b"")

    return probe


def answers(port: int, path: str, status: int, *, method: str = "GET") -> Probe:
    """It answers this request with this status."""
    request = f"{method} {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n"

    async def probe() -> bool:
        return await _ask(port, request.encode(), expect=f" {status} ".encode())

    return probe


def every(*probes: Probe) -> Probe:
    """All of them, in order."""

    async def probe() -> bool:
        for each in probes:
            if not await each():
                return False
        return True

    return probe


async def _ask(port: int, request: bytes, *, expect: bytes) -> bool:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(request)
                return not expect or expect in await reader.readline()
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError):
        return False
