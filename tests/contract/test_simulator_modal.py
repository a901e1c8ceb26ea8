"""The Modal simulator compared with `contracts/modal_app.py`, row by row."""

import asyncio
import base64
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from PIL import Image

from contracts.modal_app import ModalPending, ModalResult, ModalSubmitted
from deploy.simulators.behaviour import Behaviour
from deploy.simulators.modal import create_app
from deploy.simulators.serving import running

HEADERS = {"Modal-Key": "wk-test", "Modal-Secret": "ws-test"}


@asynccontextmanager
async def simulator(**behaviour: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Behaviour.model_validate({"latency_seconds": 0.0, **behaviour}))
    async with (
        running(app) as base,
        httpx.AsyncClient(base_url=base, headers=HEADERS, trust_env=False) as client,
    ):
        yield client


def image_request(idempotency_key: str = "attempt-1", **more: Any) -> dict[str, Any]:
    image = {"prompt": "a golden portrait", "seed": 7, "width": 96, "height": 128}
    return {"id": idempotency_key, "input": image | more}


async def submit(client: httpx.AsyncClient, body: dict[str, Any]) -> str:
    answer = await client.post("/submit", json=body)
    assert answer.status_code == 200, answer.text
    return ModalSubmitted.model_validate_json(answer.content).call_id


async def ended(client: httpx.AsyncClient, call_id: str) -> ModalResult:
    while True:
        answer = await client.get(f"/result/{call_id}")
        if answer.status_code != 202:
            assert answer.status_code == 200, answer.text
            return ModalResult.model_validate_json(answer.content)
        ModalPending.model_validate_json(answer.content)
        await asyncio.sleep(0.01)


async def test_a_call_ends_with_a_picture_at_its_path() -> None:
    async with simulator() as client:
        result = await ended(client, await submit(client, image_request()))
        [output] = result.outputs
        assert (result.status, result.seed, output.nsfw) == ("succeeded", 7, False)
        file = await client.get(output.path)
        assert file.headers["content-type"] == output.content_type == "image/png"
        assert Image.open(io.BytesIO(file.content)).size == (output.width, output.height)
        assert (await client.get(output.path + "x")).status_code == 404


async def test_a_repeated_id_is_the_same_call() -> None:
    async with simulator() as client:
        first = await submit(client, image_request())
        assert await submit(client, image_request(prompt="another")) == first
        assert await submit(client, image_request("attempt-2")) != first
        by_id = await client.get("/by-id/attempt-1")
        assert by_id.json() == {"call_id": first, "id": "attempt-1"}
        assert (await client.get("/by-id/attempt-9")).status_code == 404
        entries = (await client.get("/_sim/submissions")).json()
        assert [entry["our_id"] for entry in entries] == ["attempt-1", "attempt-2"]


async def test_a_running_call_reports_its_progress_and_can_be_cancelled() -> None:
    async with simulator(latency_seconds=5, concurrency=1) as client:
        running_call = await submit(client, image_request())
        waiting_call = await submit(client, image_request("attempt-2"))
        await asyncio.sleep(0.05)
        answers = [await client.get(f"/result/{call}") for call in (running_call, waiting_call)]
        assert [answer.status_code for answer in answers] == [202, 202]
        running_view, waiting_view = [answer.json() for answer in answers]
        assert (running_view["status"], waiting_view["status"]) == ("running", "pending")
        assert 0 < running_view["progress"] < 50
        for call in (running_call, waiting_call):
            assert (await client.post(f"/cancel/{call}")).json() == {}
            assert (await client.get(f"/result/{call}")).status_code == 410


async def test_a_cancel_after_the_end_changes_nothing() -> None:
    async with simulator() as client:
        call = await submit(client, image_request())
        await ended(client, call)
        assert (await client.post(f"/cancel/{call}")).status_code == 200
        assert (await ended(client, call)).status == "succeeded"


@pytest.mark.parametrize("call_id", ["fc-UNKNOWN", "not-a-call", "fc-.."])
async def test_an_unknown_call_is_not_found(call_id: str) -> None:
    async with simulator() as client:
        assert (await client.get(f"/result/{call_id}")).status_code == 404


@pytest.mark.parametrize("missing", ["Modal-Key", "Modal-Secret"])
async def test_a_request_without_both_headers_is_answered_by_modal_itself(missing: str) -> None:
    async with simulator() as client:
        del client.headers[missing]
        answer = await client.post("/submit", json=image_request())
        assert answer.status_code == 401
        assert answer.text == "modal-http: missing credentials for proxy authorization"
        assert (await client.get("/_sim/submissions")).json() == []


@pytest.mark.parametrize(
    ("word", "retryable"), [("[fail]", False), ("[oom]", True), ("Sim-fail", False), ("(sim-oom:1.1)", True)]
)  # fmt: skip
async def test_a_failed_call_reports_if_a_retry_may_help(word: str, retryable: bool) -> None:
    async with simulator() as client:
        result = await ended(client, await submit(client, image_request(prompt=word)))
        assert result.status == "failed"
        assert result.error is not None
        assert result.error.retryable is retryable


async def test_a_flagged_picture_and_an_unreadable_reference() -> None:
    async with simulator() as client:
        flagged = await ended(client, await submit(client, image_request(prompt="x [nsfw]")))
        assert flagged.outputs[0].nsfw
        far = image_request("attempt-2", reference_url="https://example.com/face.png")
        result = await ended(client, await submit(client, far))
        assert result.error is not None
        assert result.error.type == "Unreachable"


async def test_an_invalid_input_is_rejected() -> None:
    async with simulator() as client:
        answer = await client.post("/submit", json={"id": "x", "input": {"prompt": "no size"}})
        assert answer.status_code == 422


async def test_a_submit_whose_answer_was_lost_is_found_by_id() -> None:
    async with simulator() as client:
        await client.post("/_sim/behaviour", json={"next_faults": ["lose_answer"]})
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/submit", json=image_request())
        found = (await client.get("/by-id/attempt-1")).json()["call_id"]
        assert await submit(client, image_request()) == found


async def test_a_restart_loses_calls_and_ids() -> None:
    async with simulator() as client:
        call = await submit(client, image_request())
        await ended(client, call)
        await client.post("/_sim/forget")
        for path in (f"/result/{call}", "/by-id/attempt-1"):
            assert (await client.get(path)).status_code == 404


def a_training(idempotency_key: str = "training-1", **more: Any) -> dict[str, Any]:
    training = {"trigger_word": "mia7", "steps": 300, "seed": 3}
    return {"id": idempotency_key, "kind": "lora_training", "input": training | more}


def as_data(data: bytes) -> str:
    return "data:application/octet-stream;base64," + base64.b64encode(data).decode()


async def test_a_training_ends_with_a_lora_file_and_its_manifest() -> None:
    async with simulator() as client:
        images = [{"url": as_data(b"one"), "caption": "mia7 smiles"}, {"url": as_data(b"two")}]
        call = await submit(client, a_training(images=images))
        result = await ended(client, call)
        [output] = result.outputs
        file = (await client.get(output.path)).content
        assert result.manifest is not None
        assert result.manifest.path == output.path == f"/outputs/{call}/lora.safetensors"
        assert result.manifest.sha256 == hashlib.sha256(file).hexdigest()
        assert (result.manifest.bytes, result.manifest.steps) == (len(file), 300)
        header = json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])
        assert header["__metadata__"] == {"trigger_word": "mia7"}


async def test_the_same_pictures_in_a_zip_make_the_same_lora() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("mia.png", b"one")
        opened.writestr("mia.txt", "mia7 smiles")
    async with simulator() as client:
        bodies = [a_training(f"training-{n}", images_zip_url=as_data(archive.getvalue())) for n in range(2)]
        results = [await ended(client, await submit(client, body)) for body in bodies]
        hashes = {result.manifest.sha256 for result in results if result.manifest}
        assert len(hashes) == 1
        empty = await ended(client, await submit(client, a_training("t", images_zip_url=as_data(b"no zip"))))
        assert empty.error is not None
        assert empty.error.type == "UnreadableImage"


async def test_a_running_training_reports_its_progress() -> None:
    async with simulator(latency_seconds=5) as client:
        call = await submit(client, a_training(images=[{"url": as_data(b"one")}]))
        await asyncio.sleep(0.05)
        pending = ModalPending.model_validate_json((await client.get(f"/result/{call}")).content)
        assert pending.status == "running"
        assert pending.progress is not None
        assert 0 < pending.progress < 50


@pytest.mark.parametrize(
    "more",
    [
        {"images": [{"url": "data:,x"}], "images_zip_url": "data:,x"},
        {},
        {"images_zip_url": "data:,x", "steps": 0},
        {"images_zip_url": "data:,x", "trigger_word": ""},
    ],
)
async def test_an_invalid_training_is_rejected(more: dict[str, Any]) -> None:
    async with simulator() as client:
        assert (await client.post("/submit", json=a_training(**more))).status_code == 422


async def test_an_input_of_another_kind_is_rejected() -> None:
    async with simulator() as client:
        wrong = a_training(images_zip_url="data:,x") | {"kind": "image"}
        assert (await client.post("/submit", json=wrong)).status_code == 422
        assert (
            await client.post("/submit", json=image_request() | {"kind": "lora_training"})
        ).status_code == 422
