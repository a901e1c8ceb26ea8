"""Addresses and credentials of fetches, and the errors that responses become."""

import gzip
import io
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from pydantic import SecretStr

from contracts.base import Provider
from contracts.renders import Output
from services.result_store.fetching import HttpFetch, OutputNotReady, OutputUnavailable, Source, sources
from services.result_store.images import ImageTooLarge
from services.result_store.settings import ComfyUIOutputs, FalOutputs, ModalOutputs
from shared.hashed_file import HashedFile, TooLong

MODAL = "https://acme--imagegen.modal.run/app"
COMFYUI = "http://comfyui.internal:8188"
PLACES = sources(
    ModalOutputs(base_url=MODAL, key=SecretStr("wk-1"), secret=SecretStr("ws-1")),
    ComfyUIOutputs(base_url=COMFYUI),
    FalOutputs(media_hosts="fal.media, v3.fal.media,127.0.0.1:9000"),
)
Answer = Callable[[httpx.Request], httpx.Response]


class Web:
    """The whole network: keeps what was asked of it."""

    def __init__(self, answer: Answer = lambda request: httpx.Response(200, content=b"data")) -> None:
        self.asked: list[httpx.Request] = []
        self._answer = answer
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._record), verify=False)
        self.fetch = HttpFetch(http, PLACES, max_bytes=1000)

    def _record(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self._answer(request)


@pytest.mark.parametrize(
    ("provider", "output", "url"),
    [
        ("modal", Output(path="/outputs/fc-1/0.png"), f"{MODAL}/outputs/fc-1/0.png"),
        (
            "comfyui",
            Output(path="/view?filename=a.png&type=output"),
            f"{COMFYUI}/view?filename=a.png&type=output",
        ),
        ("fal", Output(url="https://v3.fal.media/files/a.png"), "https://v3.fal.media/files/a.png"),
        ("fal", Output(url="http://127.0.0.1:9000/files/a.png"), "http://127.0.0.1:9000/files/a.png"),
    ],
)
async def test_outputs_are_fetched_from_their_providers_address(
    provider: Provider, output: Output, url: str
) -> None:
    web = Web()
    assert await web.fetch(provider, output) == b"data"
    assert [str(request.url) for request in web.asked] == [url]


async def test_credentials_go_to_their_own_providers_address_only() -> None:
    web = Web()
    await web.fetch("modal", Output(path="/outputs/fc-1/0.png"))
    await web.fetch("comfyui", Output(path="/view?filename=a.png"))
    await web.fetch("fal", Output(url="https://fal.media/a.png"))
    keys = [request.headers.get("Modal-Key") for request in web.asked]
    assert keys == ["wk-1", None, None]
    assert not any("Authorization" in request.headers for request in web.asked)


async def test_a_url_on_an_allowed_host_gets_no_credentials() -> None:
    place = Source(MODAL, {"Modal-Key": "wk-1"}, frozenset({"cdn.example"}))
    assert place.locate(Output(url="https://cdn.example/a.png")) == ("https://cdn.example/a.png", {})


@pytest.mark.parametrize(
    ("provider", "output"),
    [
        ("modal", Output(path="/../../etc/passwd")),
        ("modal", Output(path="../admin")),
        ("modal", Output(path="https://evil.example/a.png")),
        ("modal", Output(path="/https://evil.example/a.png")),
        ("modal", Output(path="http:/evil")),
        ("modal", Output(path="\\\\evil.example\\a.png\x00")),
        ("modal", Output(url=f"{MODAL}/outputs/fc-1/0.png")),
        ("comfyui", Output(url="http://169.254.169.254/latest/meta-data")),
        ("comfyui", Output(path=f"{COMFYUI}@evil.example/")),
        ("fal", Output(path="/files/a.png")),
        ("fal", Output(url="https://evil.example/a.png")),
        ("fal", Output(url="https://fal.media.evil.example/a.png")),
        ("fal", Output(url="https://fal.media@evil.example/a.png")),
        ("fal", Output(url="https://user:pass@fal.media/a.png")),
        ("fal", Output(url="https://fal.media:8443/a.png")),
        ("fal", Output(url="http://127.0.0.1:9001/a.png")),
        ("fal", Output(url="http://fal.media/a.png")),
        ("fal", Output(url="http://v3.fal.media/files/a.png")),
        ("fal", Output(url="ftp://127.0.0.1:9000/a.png")),
        ("fal", Output(url="file://fal.media/etc/passwd")),
        ("fal", Output(url="//fal.media/a.png")),
        ("fal", Output(url="https://[fal.media/a.png")),
        ("fal", Output(url="https://fal.media/\x00")),
        ("fal", Output(url="data:image/png;base64,AAAA")),
        ("fal", Output()),
    ],
)
async def test_outputs_at_other_addresses_are_not_fetched(provider: Provider, output: Output) -> None:
    web = Web()
    with pytest.raises(OutputUnavailable):
        await web.fetch(provider, output)
    assert web.asked == []


@pytest.mark.parametrize("status", [301, 302, 303, 307])
async def test_a_redirect_is_not_followed(status: int) -> None:
    web = Web(lambda request: httpx.Response(status, headers={"Location": "http://127.0.0.1/"}))
    with pytest.raises(OutputUnavailable):
        await web.fetch("fal", Output(url="https://fal.media/a.png"))
    assert len(web.asked) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204, 206])
async def test_a_client_error_makes_an_output_unavailable(status: int) -> None:
    web = Web(lambda request: httpx.Response(status))
    with pytest.raises(OutputUnavailable):
        await web.fetch("fal", Output(url="https://fal.media/a.png"))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_a_server_error_makes_an_output_not_ready(status: int) -> None:
    web = Web(lambda request: httpx.Response(status))
    with pytest.raises(OutputNotReady):
        await web.fetch("fal", Output(url="https://fal.media/a.png"))


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadError, httpx.ReadTimeout])
async def test_a_broken_connection_makes_an_output_not_ready(error: type[httpx.TransportError]) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error("simulated", request=request)

    with pytest.raises(OutputNotReady):
        await Web(fail).fetch("fal", Output(url="https://fal.media/a.png"))


async def test_an_endless_output_is_cut_off_at_the_limit() -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"a" * 400

    web = Web(lambda request: httpx.Response(200, content=endless()))
    with pytest.raises(ImageTooLarge):
        await web.fetch("fal", Output(url="https://fal.media/a.png"))
    assert read == 3


async def test_a_compressed_output_is_measured_after_decompression() -> None:
    packed = gzip.compress(b"0" * 100_000)
    assert len(packed) < 1000
    headers = {"Content-Encoding": "gzip"}
    web = Web(lambda request: httpx.Response(200, content=packed, headers=headers))
    with pytest.raises(ImageTooLarge):
        await web.fetch("fal", Output(url="https://fal.media/a.png"))


async def test_weights_are_streamed_into_a_file_up_to_its_own_limit() -> None:
    web, output = (
        Web(lambda request: httpx.Response(200, content=b"w" * 5000)),
        Output(path="/outputs/fc-1/w"),
    )
    opened = io.BytesIO()
    await web.fetch.to_file("modal", output, HashedFile(opened, max_bytes=5000))
    assert opened.getvalue() == b"w" * 5000
    assert web.asked[0].headers["Modal-Key"] == "wk-1"
    with pytest.raises(TooLong):
        await web.fetch.to_file("modal", output, HashedFile(io.BytesIO(), max_bytes=4999))


async def test_weights_have_the_same_errors_as_images() -> None:
    file = HashedFile(io.BytesIO(), max_bytes=1000)
    with pytest.raises(OutputUnavailable):
        await Web().fetch.to_file("fal", Output(url="https://evil.example/w.safetensors"), file)
    with pytest.raises(OutputUnavailable):
        await Web(lambda request: httpx.Response(404)).fetch.to_file("modal", Output(path="/w"), file)
    with pytest.raises(OutputNotReady):
        await Web(lambda request: httpx.Response(503)).fetch.to_file("modal", Output(path="/w"), file)


async def test_a_connection_broken_within_weights_makes_them_not_ready() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"w" * 100
        raise httpx.ReadError("simulated")

    web = Web(lambda request: httpx.Response(200, content=broken()))
    with pytest.raises(OutputNotReady):
        await web.fetch.to_file("modal", Output(path="/w"), HashedFile(io.BytesIO(), max_bytes=1000))


@pytest.mark.parametrize("status", [403, 500])
async def test_an_error_names_the_provider_and_not_its_address(status: int) -> None:
    web = Web(lambda request: httpx.Response(status))
    with pytest.raises((OutputUnavailable, OutputNotReady)) as raised:
        await web.fetch("comfyui", Output(path="/view?filename=a.png"))
    assert str(raised.value) == f"comfyui answered {status} when its output was fetched"
