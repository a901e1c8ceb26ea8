"""Downloads of outputs, only from addresses that the provider's settings allow."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import httpx
import structlog

from contracts.base import Provider
from contracts.renders import Output
from services.result_store.images import ImageTooLarge
from services.result_store.settings import ComfyUIOutputs, FalOutputs, ModalOutputs
from shared.errors import PermanentError, TransientError
from shared.hashed_file import HashedFile
from shared.url_credentials import redacted

log = structlog.get_logger()

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Hosts from which outputs are fetched without TLS."""


class OutputUnavailable(PermanentError):
    """The output is gone, or its address is not allowed."""

    reason = "output_unavailable"


class OutputNotReady(TransientError):
    """The output cannot be read now; a later attempt may succeed."""


class Fetch(Protocol):
    """Port to the providers' outputs."""

    async def __call__(self, provider: Provider, output: Output) -> bytes:
        """Return the bytes of an output.

        Raises:
            OutputUnavailable: a later attempt cannot succeed.
            OutputNotReady: try again later.
            ImageTooLarge: it is larger than the limit.
        """

    async def to_file(self, provider: Provider, output: Output, file: HashedFile) -> None:
        """Write the bytes of an output into a file. Raises as above; the limit is the file's.

        Raises:
            TooLong: it is larger than the file may be.
        """


@dataclass(frozen=True, slots=True)
class Source:
    """Allowed addresses of one provider: paths below `base_url`, with its headers, or URLs on `hosts`."""

    base_url: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    hosts: frozenset[str] = frozenset()

    def locate(self, output: Output) -> tuple[str, dict[str, str]]:
        """Return the URL and the headers to send; credentials only go to the provider's own address.

        Raises:
            OutputUnavailable: when the address is not allowed for this provider.
        """
        if output.path is not None and self.base_url:
            base = self.base_url.rstrip("/")
            url = urljoin(f"{base}/", output.path.lstrip("/"))
            if url.startswith(f"{base}/"):
                return url, self.headers
        if output.url is not None:
            parts = urlsplit(output.url)
            http = parts.scheme == "http" and parts.hostname in LOOPBACK
            if parts.netloc in self.hosts and (http or parts.scheme == "https"):
                return output.url, {}
        raise OutputUnavailable(f"outputs are not fetched from {(output.url or output.path or '')[:200]!r}")


class HttpFetch(Fetch):
    """Streams an output up to a size limit, without following redirects."""

    def __init__(self, http: httpx.AsyncClient, sources: dict[Provider, Source], max_bytes: int) -> None:
        self._http = http
        self._sources = sources
        self._max_bytes = max_bytes

    async def __call__(self, provider: Provider, output: Output) -> bytes:
        """See `Fetch`."""
        async with self._open(provider, output) as answer:
            return await self._read(answer)

    async def to_file(self, provider: Provider, output: Output, file: HashedFile) -> None:
        """See `Fetch`."""
        async with self._open(provider, output) as answer:
            await file.take(answer.aiter_bytes())

    @asynccontextmanager
    async def _open(self, provider: Provider, output: Output) -> AsyncIterator[httpx.Response]:
        try:
            url, headers = self._sources[provider].locate(output)
        except (ValueError, httpx.InvalidURL) as error:
            raise OutputUnavailable(f"no address: {redacted(str(error))}") from error
        try:
            async with self._http.stream("GET", url, headers=headers) as answer:
                self._check(answer, provider)
                yield answer
        except httpx.HTTPError as error:
            raise OutputNotReady(redacted(f"{url}: {type(error).__name__}: {error}")) from error
        except httpx.InvalidURL as error:
            raise OutputUnavailable(f"no address: {redacted(str(error))}") from error

    def _check(self, answer: httpx.Response, provider: Provider) -> None:
        status = answer.status_code
        if status == 200:
            return
        log.info(
            "output_fetch_refused",
            provider=provider,
            url=str(answer.url.copy_with(query=None)),
            status=status,
        )
        if status in (408, 425, 429) or status >= 500:
            raise OutputNotReady(f"{provider} answered {status} when its output was fetched")
        raise OutputUnavailable(f"{provider} answered {status} when its output was fetched")

    async def _read(self, answer: httpx.Response) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in answer.aiter_bytes():
            size += len(chunk)
            if size > self._max_bytes:
                raise ImageTooLarge(size, self._max_bytes, "bytes")
            chunks.append(chunk)
        return b"".join(chunks)


def sources(modal: ModalOutputs, comfyui: ComfyUIOutputs, fal: FalOutputs) -> dict[Provider, Source]:
    """Return the source of each provider from its settings."""
    return {
        "modal": Source(
            modal.base_url,
            {
                "Modal-Key": modal.key.get_secret_value(),
                "Modal-Secret": modal.secret.get_secret_value(),
            },
        ),
        "comfyui": Source(comfyui.base_url),
        "fal": Source(hosts=frozenset(host.strip() for host in fal.media_hosts.split(","))),
    }
