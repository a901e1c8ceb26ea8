"""A training at Fal: images uploaded to its storage, one submission, files that come out."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from services.gateways.kit.provider import (
    AttemptRequest,
    Completed,
    Failed,
    InProgress,
    NotAccepted,
    Rejected,
)
from shared.ids import uuid7
from tests.fakes.adapters import KEY, AdapterHarness, an_adapter, an_adapter_harness
from tests.fakes.provider import FakeInputs, an_attempt_request

JOB = uuid7()
IMAGES = tuple(f"{JOB}/{index}" for index in range(4))
MEDIA = "https://v3.fal.media"
PNG = b"\x89PNG "
LINKS = {"id": "r1", "status_url": f"{MEDIA}/status", "response_url": f"{MEDIA}/r1", "cancel_url": MEDIA}


def a_training(**fields: Any) -> AttemptRequest:
    known = {"kind": "lora_training", "prompt": "mia7", "training_images": IMAGES}
    return an_attempt_request("fal", **known | fields)


@pytest.fixture
async def harness() -> AsyncIterator[AdapterHarness]:
    async with an_adapter_harness("fal") as made:
        made.inputs.images.update({asset: PNG + asset.encode() for asset in IMAGES})
        yield made


class FakeStorage:
    """Fal's storage with scripted answers; keeps every request."""

    def __init__(self, token: Any = None, upload: httpx.Response | None = None) -> None:
        self.asked: list[httpx.Request] = []
        known = {"token": "t0ken", "token_type": "Bearer", "base_url": MEDIA}
        self._token = token if isinstance(token, httpx.Response) else httpx.Response(200, json=token or known)
        self._upload = upload or httpx.Response(200, json={"access_url": f"{MEDIA}/files/a/images.zip"})
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer), verify=False)
        inputs = FakeInputs(images=dict.fromkeys(IMAGES, PNG))
        self.provider = an_adapter("fal", http, MEDIA, inputs)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self._token if request.url.path == "/storage/auth/token" else self._upload


async def test_the_images_are_uploaded_as_one_archive_and_trained_on_once(harness: AdapterHarness) -> None:
    captions = ("mia7 smiling", "left profile", "", "")
    ref = await harness.submit(a_training(captions=captions, steps=1200))
    assert "/fal-ai/flux-lora-fast-training/requests/" in ref["status_url"]
    [entry] = await harness.submission_log()
    asked = dict(entry["input"])
    url = asked.pop("images_data_url")
    assert asked == {"trigger_word": "mia7", "steps": 1200}
    assert url.startswith(f"{harness.url}/files/")
    archive = zipfile.ZipFile(io.BytesIO((await harness.http.get(url)).content))
    assert [archive.read(f"00{number}.png") for number in range(4)] == list(harness.inputs.images.values())
    assert archive.read("001.txt") == b"mia7, left profile"


async def test_a_training_ends_with_weights_and_the_trainers_configuration(harness: AdapterHarness) -> None:
    request = a_training()
    status = await harness.end(request, await harness.submit(request))
    assert isinstance(status, Completed)
    assert [output.role for output in status.outputs] == ["weights", "config"]
    assert (status.base_model, status.steps) == ("black-forest-labs/FLUX.1-dev", 1000)
    config = json.loads((await harness.http.get(status.outputs[1].url or "")).content)
    assert config == {"trigger_word": "mia7", "steps": 1000, "images": 4, "captions": 0}


async def test_percent_is_read_from_the_trainers_log(harness: AdapterHarness) -> None:
    await harness.behave(latency_seconds=30)
    request = a_training()
    ref = await harness.submit(request)
    while (status := await harness.reach(request, ref, "running")).percent is None:
        await asyncio.sleep(0.005)  # its images are being read
    assert status.percent == 0


async def test_a_log_that_is_too_long_to_read_does_not_hide_the_end() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("logs") == "1":
            return httpx.Response(200, content=b"x" * 5_000_000)
        return httpx.Response(200, json={"status": "IN_PROGRESS"})

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), verify=False)
    provider = an_adapter("fal", http, MEDIA, FakeInputs())
    assert await provider.poll(a_training(), LINKS) == InProgress("running")


async def test_too_few_images_fail_for_good(harness: AdapterHarness) -> None:
    request = a_training(training_images=IMAGES[:3])
    status = await harness.end(request, await harness.submit(request))
    assert isinstance(status, Failed)
    assert (status.retryable, status.billed) == (False, "no")
    assert "archive_file_count_below_minimum" in status.message


async def test_an_image_that_is_not_there_is_an_input_that_is_not_found(harness: AdapterHarness) -> None:
    with pytest.raises(Rejected) as raised:
        await harness.submit(a_training(training_images=(*IMAGES, f"{uuid7()}/0")))
    assert raised.value.code == "input_not_found"
    assert await harness.submission_log() == []


@pytest.mark.parametrize("files", [{}, {"diffusers_lora_file": {}}, {"diffusers_lora_file": {"url": 7}}])
async def test_a_training_without_weights_is_a_failure_that_was_billed(files: dict[str, Any]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"status": "COMPLETED"} if request.url.path == "/status" else files)

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), verify=False)
    status = await an_adapter("fal", http, MEDIA, FakeInputs()).poll(a_training(), LINKS)
    assert isinstance(status, Failed)
    assert (status.code, status.billed) == ("no_output", "yes")


async def test_our_key_goes_to_fals_api_and_only_the_token_to_its_media_host() -> None:
    storage = FakeStorage()
    await storage.provider.prepare(a_training())
    token, upload = storage.asked
    assert token.headers["Authorization"] == f"Key {KEY}"
    assert token.url.params["storage_type"] == "fal-cdn-v3"
    assert upload.headers["Authorization"] == "Bearer t0ken"
    assert (upload.url.path, upload.headers["X-Fal-File-Name"]) == ("/files/upload", "images.zip")
    assert json.loads(upload.headers["X-Fal-Object-Lifecycle"]) == {"expiration_duration_seconds": 86400}


@pytest.mark.parametrize(
    "host",
    [
        "https://evil.example",
        "http://v3.fal.media",
        "https://v3.fal.media.evil.example",
        "https://v3.fal.media@evil.example",
        "https://user:pass@v3.fal.media",
        "//v3.fal.media",
        "https://[v3",
        None,
        7,
    ],
)
async def test_pictures_and_tokens_go_to_fals_own_hosts_only(host: object) -> None:
    storage = FakeStorage(token={"token": "t0ken", "base_url": host})
    with pytest.raises(NotAccepted):
        await storage.provider.prepare(a_training())
    assert len(storage.asked) == 1
    elsewhere = FakeStorage(upload=httpx.Response(200, json={"access_url": host}))
    with pytest.raises(NotAccepted):
        await elsewhere.provider.prepare(a_training())


@pytest.mark.parametrize(
    "storage",
    [
        FakeStorage(token=httpx.Response(503)),
        FakeStorage(token=httpx.Response(200, text="no json")),
        FakeStorage(token=httpx.Response(404, json={})),
        FakeStorage(upload=httpx.Response(500)),
        FakeStorage(upload=httpx.Response(413, json={})),
        FakeStorage(upload=httpx.Response(200, json={})),
    ],
    ids=["no token", "nonsense", "404", "upload fails", "upload refused", "no url"],
)
async def test_a_storage_that_does_not_take_it_leaves_the_training_for_later(storage: FakeStorage) -> None:
    with pytest.raises(NotAccepted):
        await storage.provider.prepare(a_training())
