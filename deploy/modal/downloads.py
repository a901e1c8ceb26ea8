"""Download the URLs of an input, as bytes or as a cached file."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

import httpx

from deploy.modal.failures import CallFailed
from deploy.modal.outputs import check_safetensors

MEBIBYTE: Final = 1024 * 1024
LARGEST_IMAGE: Final = 50 * MEBIBYTE
LARGEST_ARCHIVE: Final = 1024 * MEBIBYTE
LARGEST_LORA: Final = 4096 * MEBIBYTE
WORTH_A_RETRY: Final = (408, 425, 429)


class Unreadable(CallFailed):
    """The URL of an input cannot be read. Expired links are permanent failures, server errors may pass."""

    def __init__(self, url: str, reason: str, *, retryable: bool = False) -> None:
        super().__init__(f"cannot read {without_query(url)[:200]}: {reason}")
        self.retryable = retryable


class Downloads:
    """Downloads of inputs. `loras` is the folder, on a volume, that caches LoRA files."""

    def __init__(self, http: httpx.Client, loras: Path) -> None:
        self._http = http
        self._loras = loras

    def read(self, url: str, limit: int = LARGEST_IMAGE) -> bytes:
        """Return the content of a URL. Raise `Unreadable` if it cannot be read."""
        with tempfile.SpooledTemporaryFile(max_size=LARGEST_IMAGE) as file:
            with self._opened(url) as answer:
                _copy(url, answer, file, limit)
            file.seek(0)
            return file.read()

    def lora(self, url: str) -> tuple[Path, bool]:
        """Return the cached file of a LoRA, and True if it was downloaded now.

        The cache key is the URL without its query, because a signed link differs each time, and the version
        from the
        response headers. One request delivers both; it is aborted when the file is cached already.

        Raises:
            Unreadable: the URL cannot be read.
            NoSafetensors: the file is not valid.
        """
        with self._opened(url) as answer:
            kept = self._loras / f"{lora_name(url, answer.headers)}.safetensors"
            if kept.exists():
                return kept, False
            self._loras.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=self._loras, suffix=".partial")
            try:
                with os.fdopen(handle, "wb") as file:
                    _copy(url, answer, file, LARGEST_LORA)
                check_safetensors(Path(partial))
                os.replace(partial, kept)
            finally:
                Path(partial).unlink(missing_ok=True)
        return kept, True

    @contextmanager
    def _opened(self, url: str) -> Iterator[httpx.Response]:
        if urlsplit(url).scheme not in ("http", "https"):
            raise Unreadable(url, "neither http nor https")
        try:
            with self._http.stream("GET", url) as answer:
                status = answer.status_code
                if status != httpx.codes.OK:
                    again = status >= 500 or status in WORTH_A_RETRY
                    raise Unreadable(url, f"status {status}", retryable=again)
                yield answer
        except httpx.InvalidURL as error:
            raise Unreadable(url, str(error)) from error
        except httpx.HTTPError as error:
            raise Unreadable(url, type(error).__name__, retryable=True) from error


def client() -> httpx.Client:
    return httpx.Client(timeout=httpx.Timeout(60, connect=10), follow_redirects=True, max_redirects=3)


def lora_name(url: str, headers: httpx.Headers) -> str:
    version = headers.get("etag") or headers.get("last-modified") or headers.get("content-length", "")
    return hashlib.sha256(f"{without_query(url)}\n{version}".encode()).hexdigest()


def without_query(url: str) -> str:
    """Return the URL for logs and errors. The query of a signed link is a secret."""
    return url.partition("?")[0]


def _copy(url: str, answer: httpx.Response, to: IO[bytes], limit: int) -> None:
    size = 0
    for piece in answer.iter_bytes():
        size += len(piece)
        if size > limit:
            raise Unreadable(url, f"more than {limit // MEBIBYTE} MiB")
        to.write(piece)
