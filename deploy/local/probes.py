"""Probes of a starting process. Each returns True when the process is ready."""

import asyncio
from collections.abc import Awaitable, Callable

from deploy.local.ports import HOST

Probe = Callable[[], Awaitable[bool]]

ANSWER_SECONDS = 2.0
API_VERSIONS = bytes.fromhex("0000000a 0012 0000 00000001 ffff")
"""ApiVersions, the first request of every Kafka client."""


def accepts(port: int) -> Probe:
    """Return a probe that passes when the port accepts connections."""

    async def probe() -> bool:
        return await _exchange(port, b"", lambda answer: True)

    return probe


def answers(port: int, path: str, status: int, *, method: str = "GET") -> Probe:
    """Return a probe that passes when the server answers this request with this status."""
    request = f"{method} {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n"

    async def probe() -> bool:
        return await _exchange(port, request.encode(), lambda answer: f" {status} ".encode() in answer[:20])

    return probe


def speaks_kafka(port: int) -> Probe:
    """Return a probe that passes when the broker answers a Kafka client."""

    async def probe() -> bool:
        return await _exchange(port, API_VERSIONS, lambda answer: len(answer) > 0)

    return probe


def all_of(*probes: Probe) -> Probe:
    """Return a probe that passes when all of these pass, in order."""

    async def probe() -> bool:
        for each in probes:
            if not await each():
                return False
        return True

    return probe


async def _exchange(port: int, request: bytes, is_expected: Callable[[bytes], bool]) -> bool:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(request)
                return is_expected(await reader.read(1024) if request else b"")
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError):
        return False
