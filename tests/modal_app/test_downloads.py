"""Downloads of inputs: caching, rejection and retryable failures."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from deploy.modal.downloads import Downloads, Unreadable
from deploy.modal.outputs import NoSafetensors
from tests.modal_app.fakes import A_LORA

URL = "https://bucket.example/loras/mia.safetensors"


class Host:
    """A bucket that counts how often a file is read."""

    def __init__(self, tmp_path: Path) -> None:
        self.answer: Callable[[], httpx.Response] = self.lora
        self.read = 0
        self.etag = '"1"'
        http = httpx.Client(transport=httpx.MockTransport(lambda _: self.answer()), verify=False)
        self.downloads = Downloads(http, tmp_path / "loras")

    def lora(self) -> httpx.Response:
        def content() -> object:
            self.read += 1
            yield A_LORA

        return httpx.Response(200, headers={"etag": self.etag}, content=content())  # type: ignore[arg-type]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_lora_is_read_once_for_all_its_signatures(host: Host) -> None:
    first, is_new = host.downloads.lora(URL + "?signature=1")
    assert is_new
    assert first.read_bytes() == A_LORA
    assert host.downloads.lora(URL + "?signature=2") == (first, False)
    assert host.read == 1


def test_another_file_at_the_same_place_is_another_lora(host: Host) -> None:
    first, _ = host.downloads.lora(URL)
    host.etag = '"2"'
    second, is_new = host.downloads.lora(URL)
    assert is_new
    assert first != second


def test_a_file_that_is_not_a_lora_is_not_cached(host: Host, tmp_path: Path) -> None:
    host.answer = lambda: httpx.Response(200, content=b"<html>")
    with pytest.raises(NoSafetensors):
        host.downloads.lora(URL)
    assert list((tmp_path / "loras").iterdir()) == []


@pytest.mark.parametrize(
    ("status", "retryable"), [(403, False), (404, False), (429, True), (500, True), (503, True)]
)
def test_the_status_decides_if_a_retry_may_help(host: Host, status: int, retryable: bool) -> None:
    host.answer = lambda: httpx.Response(status)
    with pytest.raises(Unreadable) as raised:
        host.downloads.read(URL)
    assert raised.value.retryable is retryable


def test_an_unreachable_host_is_a_retryable_failure(host: Host) -> None:
    def away() -> httpx.Response:
        raise httpx.ConnectError("refused")

    host.answer = away
    with pytest.raises(Unreadable) as raised:
        host.downloads.read(URL)
    assert raised.value.retryable


def test_the_signature_of_a_link_is_not_reported(host: Host) -> None:
    host.answer = lambda: httpx.Response(404)
    with pytest.raises(Unreadable) as raised:
        host.downloads.read(URL + "?signature=secret")
    assert "secret" not in str(raised.value)


def test_a_file_that_is_too_large_is_not_read_to_its_end(host: Host) -> None:
    with pytest.raises(Unreadable, match="more than"):
        host.downloads.read(URL, limit=10)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "data:,x", "/etc/passwd"])
def test_only_http_is_read(host: Host, url: str) -> None:
    with pytest.raises(Unreadable):
        host.downloads.read(url)
