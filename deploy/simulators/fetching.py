"""Reading of the URLs in requests: `data:` URIs, and HTTP on this machine only."""

import asyncio
import base64
import binascii
from urllib.parse import unquote_to_bytes, urlsplit

import httpx

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Unreachable(Exception):
    """The URL cannot be read, or its host is not this machine."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"cannot read {url[:200]}: {reason}")
        self.url = url


def is_local(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in LOOPBACK


async def fetch(client: httpx.AsyncClient, url: str) -> bytes:
    if url.startswith("data:"):
        return _decode(url)
    if not is_local(url):
        raise Unreachable(url, "simulators read only from this machine")
    try:
        answer = await client.get(url)
    except httpx.HTTPError as error:
        raise Unreachable(url, type(error).__name__) from error
    if answer.status_code != httpx.codes.OK:
        raise Unreachable(url, f"status {answer.status_code}")
    return answer.content


async def fetch_all(client: httpx.AsyncClient, urls: list[str]) -> tuple[bytes, ...]:
    return tuple(await asyncio.gather(*(fetch(client, url) for url in urls)))


def _decode(url: str) -> bytes:
    head, _, body = url.partition(",")
    try:
        return base64.b64decode(body) if head.endswith(";base64") else unquote_to_bytes(body)
    except (binascii.Error, ValueError) as error:
        raise Unreachable(url[:40], str(error)) from error
