"""The Modal simulator against `contracts/modal_app.py`, row by row."""

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


def asked(our_id: str = "attempt-1", **more: Any) -> dict[str, Any]:
    image = {"prompt": "a golden portrait", "seed": 7, "width": 96, "height": 128}
    return {"id": our_id, "input": image | more}


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
        result = await ended(client, await submit(client, asked()))
        [output] = result.outputs
        assert (result.status, result.seed, output.nsfw) == ("succeeded", 7, False)
        file = await client.get(output.path)
        assert file.headers["content-type"] == output.content_type == "image/png"
        assert Image.open(io.BytesIO(file.content)).size == (output.width, output.height)
        assert (await client.get(output.path + "x")).status_code == 404


async def test_the_same_id_again_is_the_same_call() -> None:
    async with simulator() as client:
        first = await submit(client, asked())
        assert await submit(client, asked(prompt="another")) == first
        assert await submit(client, asked("attempt-2")) != first
        by_id = await client.get("/by-id/attempt-1")
        assert by_id.json() == {"call_id": first, "id": "attempt-1"}
        assert (await client.get("/by-id/attempt-9")).status_code == 404
        entries = (await client.get("/_sim/submissions")).json()
        assert [entry["our_id"] for entry in entries] == ["attempt-1", "attempt-2"]


async def test_a_running_call_tells_its_progress_and_can_be_cancelled() -> None:
    async with simulator(latency_seconds=5, concurrency=1) as client:
        running_call = await submit(client, asked())
        waiting_call = await submit(client, asked("attempt-2"))
        await asyncio.sleep(0.05)
        answers = [await client.get(f"/result/{call}") for call in (running_call, waiting_call)]
        assert [answer.status_code for answer in answers] == [202, 202]
        running_view, waiting_view = [answer.json() for answer in answers]
        assert (running_view["status"], waiting_view["status"]) == ("running", "pending")
        assert 0 < running_view["progress"] < 50
        for call in (running_call, waiting_call):
            assert (await client.post(f"/cancel/{call}")).json() == {}
            assert (await client.get(f"/result/{call}")).status_code == 410


async def test_cancelling_too_late_changes_nothing() -> None:
    async with simulator() as client:
        call = await submit(client, asked())
        await ended(client, call)
        assert (await client.post(f"/cancel/{call}")).status_code == 200
        assert (await ended(client, call)).status == "succeeded"


@pytest.mark.parametrize("call_id", ["fc-UNKNOWN", "not-a-call", "fc-.."])
async def test_an_unknown_call_is_not_found(call_id: str) -> None:
    async with simulator() as client:
        assert (await client.get(f"/result/{call_id}")).status_code == 404


@pytest.mark.parametrize("missing", ["Modal-Key", "Modal-Secret"])
async def test_without_both_headers_modal_itself_answers(missing: str) -> None:
    async with simulator() as client:
        del client.headers[missing]
        answer = await client.post("/submit", json=asked())
        assert answer.status_code == 401
        assert answer.text == "modal-http: missing credentials for proxy authorization"
        assert (await client.get("/_sim/submissions")).json() == []


@pytest.mark.parametrize(
    ("word", "retryable"), [("[fail]", False), ("[oom]", True), ("Sim-fail", False), ("(sim-oom:1.1)", True)]
)  # fmt: skip
async def test_a_failed_call_says_whether_to_try_again(word: str, retryable: bool) -> None:
    async with simulator() as client:
        result = await ended(client, await submit(client, asked(prompt=word)))
        assert result.status == "failed"
        assert result.error is not None
        assert result.error.retryable is retryable


async def test_a_flagged_picture_and_an_unreadable_reference() -> None:
    async with simulator() as client:
        flagged = await ended(client, await submit(client, asked(prompt="x [nsfw]")))
        assert flagged.outputs[0].nsfw
        far = asked("attempt-2", reference_url="https://example.com/face.png")
        result = await ended(client, await submit(client, far))
        assert result.error is not None
        assert result.error.type == "Unreachable"


async def test_a_wrong_input_is_refused() -> None:
    async with simulator() as client:
        answer = await client.post("/submit", json={"id": "x", "input": {"prompt": "no size"}})
        assert answer.status_code == 422


async def test_a_lost_answer_is_found_by_id() -> None:
    async with simulator() as client:
        await client.post("/_sim/behaviour", json={"next_faults": ["lose_answer"]})
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/submit", json=asked())
        found = (await client.get("/by-id/attempt-1")).json()["call_id"]
        assert await submit(client, asked()) == found


async def test_a_restart_forgets_calls_and_ids() -> None:
    async with simulator() as client:
        call = await submit(client, asked())
        await ended(client, call)
        await client.post("/_sim/forget")
        for path in (f"/result/{call}", "/by-id/attempt-1"):
            assert (await client.get(path)).status_code == 404


def a_training(our_id: str = "training-1", **more: Any) -> dict[str, Any]:
    training = {"trigger_word": "mia7", "steps": 300, "seed": 3}
    return {"id": our_id, "kind": "lora_training", "input": training | more}


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


async def test_the_same_pictures_make_the_same_lora_and_a_zip_will_do() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("mia.png", b"one")
        opened.writestr("mia.txt", "mia7 smiles")
    async with simulator() as client:
        asked = [a_training(f"training-{n}", images_zip_url=as_data(archive.getvalue())) for n in range(2)]
        results = [await ended(client, await submit(client, body)) for body in asked]
        hashes = {result.manifest.sha256 for result in results if result.manifest}
        assert len(hashes) == 1
        empty = await ended(client, await submit(client, a_training("t", images_zip_url=as_data(b"no zip"))))
        assert empty.error is not None
        assert empty.error.type == "UnreadableImage"


async def test_a_running_training_tells_its_progress() -> None:
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
async def test_a_training_that_cannot_be_done_is_refused(more: dict[str, Any]) -> None:
    async with simulator() as client:
        assert (await client.post("/submit", json=a_training(**more))).status_code == 422


async def test_an_input_of_another_kind_is_refused() -> None:
    async with simulator() as client:
        wrong = a_training(images_zip_url="data:,x") | {"kind": "image"}
        assert (await client.post("/submit", json=wrong)).status_code == 422
        assert (await client.post("/submit", json=asked() | {"kind": "lora_training"})).status_code == 422
