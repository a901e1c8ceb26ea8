"""Probes of a starting process: each returns True when it is ready."""

import asyncio
from collections.abc import Awaitable, Callable

from deploy.local.ports import HOST

Probe = Callable[[], Awaitable[bool]]

ANSWER_SECONDS = 2.0
API_VERSIONS = bytes.fromhex("0000000a 0012 0000 00000001 ffff")
"""The first question of every Kafka client: which versions do you speak?"""


def accepts(port: int) -> Probe:
    """Return a probe for a port that accepts connections."""

    async def probe() -> bool:
        return await _ask(port, b"", lambda answer: True)

    return probe


def answers(port: int, path: str, status: int, *, method: str = "GET") -> Probe:
    """Return a probe for a server that answers this request with this status."""
    request = f"{method} {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n"

    async def probe() -> bool:
        return await _ask(port, request.encode(), lambda answer: f" {status} ".encode() in answer[:20])

    return probe


def speaks_kafka(port: int) -> Probe:
    """Return a probe for a broker that answers a Kafka client."""

    async def probe() -> bool:
        return await _ask(port, API_VERSIONS, lambda answer: len(answer) > 0)

    return probe


def every(*probes: Probe) -> Probe:
    """Return a probe that passes when all of these do, in order."""

    async def probe() -> bool:
        for each in probes:
            if not await each():
                return False
        return True

    return probe


async def _ask(port: int, request: bytes, is_right: Callable[[bytes], bool]) -> bool:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(request)
                return is_right(await reader.read(1024) if request else b"")
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError):
        return False
