"""The contract's table of routes, row by row, and failures between the calls."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.modal_app import (
    ModalPending,
    ModalResult,
    ModalUnfinished,
)
from tests.modal_app.caller import ended, submit
from tests.modal_app.fakes import AppHarness, a_training, an_image


async def test_a_call_ends_with_a_file_at_its_path(client: httpx.AsyncClient) -> None:
    result = await ended(client, await submit(client, an_image()))
    [output] = result.outputs
    assert (result.status, result.seed, output.nsfw) == ("succeeded", 7, False)
    assert (output.width, output.height) == (64, 96)
    file = await client.get(output.path)
    assert (file.content, file.headers["content-type"]) == (b"\x89PNG", "image/png")


async def test_a_training_ends_with_a_lora_and_its_manifest(client: httpx.AsyncClient) -> None:
    result = await ended(client, await submit(client, a_training()))
    assert result.manifest is not None
    assert (result.manifest.path, result.manifest.steps) == (result.outputs[0].path, 300)
    assert len((await client.get(result.manifest.path)).content) == result.manifest.bytes


async def test_a_pending_call_and_a_running_call_report_their_state(
    harness: AppHarness, client: httpx.AsyncClient
) -> None:
    harness.calls.queued_only = True
    waiting = await submit(client, an_image())
    answer = await client.get(f"/result/{waiting}")
    assert (answer.status_code, answer.json()) == (202, {"status": "pending", "progress": None})
    harness.calls.states[waiting] = ModalPending(status="running", progress=41.6)
    answer = await client.get(f"/result/{waiting}")
    assert (answer.status_code, answer.json()) == (202, {"status": "running", "progress": 41.6})


async def test_a_repeated_id_is_the_same_call(harness: AppHarness, client: httpx.AsyncClient) -> None:
    first = await submit(client, an_image())
    assert await submit(client, an_image(prompt="another")) == first
    await ended(client, first)
    assert await submit(client, an_image()) == first
    assert await submit(client, an_image("attempt-2")) != first
    assert [request.id for request in harness.calls.started] == ["attempt-1", "attempt-2"]


async def test_ten_concurrent_submits_of_an_id_are_one_call(
    harness: AppHarness, client: httpx.AsyncClient
) -> None:
    harness.calls.queued_only = True
    calls = await asyncio.gather(*(submit(client, an_image()) for _ in range(10)))
    assert len(set(calls)) == 1
    assert len(harness.calls.started) == 1


async def test_a_call_is_found_by_the_callers_id(client: httpx.AsyncClient) -> None:
    for idempotency_key in ("attempt-1", "a/b c"):
        call_id = await submit(client, an_image(idempotency_key))
        assert (await client.get(f"/by-id/{idempotency_key}")).json() == {
            "call_id": call_id,
            "id": idempotency_key,
        }
    assert (await client.get("/by-id/attempt-9")).status_code == 404


@pytest.mark.parametrize("call_id", ["fc-UNKNOWN", "not-a-call", "fc-.."])
async def test_an_unknown_call_is_not_found(
    harness: AppHarness, client: httpx.AsyncClient, call_id: str
) -> None:
    harness.calls.states[call_id] = ModalResult(status="succeeded")
    assert (await client.get(f"/result/{call_id}")).status_code == 404
    assert (await client.post(f"/cancel/{call_id}")).json() == {}
    assert harness.calls.cancelled == []


async def test_a_call_that_modal_forgot_is_not_found(harness: AppHarness, client: httpx.AsyncClient) -> None:
    call_id = await submit(client, an_image())
    harness.calls.states[call_id] = None
    assert (await client.get(f"/result/{call_id}")).status_code == 404


async def test_a_cancelled_call_is_gone(harness: AppHarness, client: httpx.AsyncClient) -> None:
    harness.calls.seconds = 60
    call_id = await submit(client, an_image())
    answer = await client.post(f"/cancel/{call_id}")
    assert (answer.status_code, answer.json()) == (200, {})
    stopped = await client.get(f"/result/{call_id}")
    assert (stopped.status_code, stopped.json()) == (410, {"status": "cancelled", "started": True})
    assert (await client.post(f"/cancel/{call_id}")).json() == {}


async def test_a_call_that_was_cancelled_before_it_began_reports_so(
    harness: AppHarness, client: httpx.AsyncClient
) -> None:
    harness.calls.queued_only = True
    call_id = await submit(client, an_image())
    await client.post(f"/cancel/{call_id}")
    assert (await client.get(f"/result/{call_id}")).json() == {"status": "cancelled", "started": False}


async def unfinished(client: httpx.AsyncClient) -> dict[str, str]:
    answer = await client.get("/calls")
    assert answer.status_code == 200
    return {call.id: call.call_id for call in ModalUnfinished.model_validate_json(answer.content).calls}


async def test_calls_are_listed_until_their_end_is_read(
    harness: AppHarness, client: httpx.AsyncClient
) -> None:
    harness.calls.queued_only = True
    first, second, third = [await submit(client, an_image(f"attempt-{n}")) for n in (1, 2, 3)]
    assert await unfinished(client) == {"attempt-1": first, "attempt-2": second, "attempt-3": third}
    harness.calls.states[first] = ModalResult(status="succeeded")
    harness.calls.states[second] = None
    await client.post(f"/cancel/{third}")
    for call_id in (first, second, third):
        assert call_id in (await unfinished(client)).values(), "an end is noticed when the result is read"
        await client.get(f"/result/{call_id}")
    assert await unfinished(client) == {}


async def test_a_repeated_id_is_listed_once(client: httpx.AsyncClient) -> None:
    call_id = await submit(client, an_image())
    await submit(client, an_image())
    assert await unfinished(client) == {"attempt-1": call_id}


async def test_an_unavailable_index_fails_only_the_listing(
    harness: AppHarness, client: httpx.AsyncClient
) -> None:
    harness.open_calls.away = True
    assert (await ended(client, await submit(client, an_image()))).status == "succeeded"
    assert (await client.get("/calls")).status_code == 503


async def test_a_cancel_after_the_end_changes_nothing(harness: AppHarness, client: httpx.AsyncClient) -> None:
    call_id = await submit(client, an_image())
    before = await ended(client, call_id)
    assert (await client.post(f"/cancel/{call_id}")).status_code == 200
    assert await ended(client, call_id) == before
    assert harness.calls.cancelled == []


@pytest.mark.parametrize(("word", "retryable"), [("[fail]", False), ("[oom]", True)])
async def test_a_failed_call_reports_if_a_retry_may_help(
    client: httpx.AsyncClient, word: str, retryable: bool
) -> None:
    result = await ended(client, await submit(client, an_image(prompt=word)))
    assert (result.status, result.outputs) == ("failed", ())
    assert result.error is not None
    assert result.error.retryable is retryable
    assert result.error.type in ("ValueError", "OutOfMemoryError")


async def test_the_nsfw_flag_is_reported_with_the_picture(client: httpx.AsyncClient) -> None:
    result = await ended(client, await submit(client, an_image(prompt="x [nsfw]")))
    assert result.outputs[0].nsfw


@pytest.mark.parametrize(
    "path",
    [
        "/outputs/fc-0001/..%2F..%2Fsecret",
        "/outputs/fc-0001/%2Fetc%2Fpasswd",
        "/outputs/..%2Ffc-0001/0.png",
        "/outputs/fc-0001/0.png%00",
        "/outputs/fc-0001/.hidden.png",
        "/outputs/fc-0001/%2e%2e",
        "/outputs/%2e%2e/secret.png",
        "/outputs/fc-0001/sub%5C0.png",
    ],
)
async def test_files_outside_a_calls_folder_are_never_read(
    harness: AppHarness, client: httpx.AsyncClient, path: str
) -> None:
    (harness.folder / "secret.png").write_text("secret")
    await ended(client, await submit(client, an_image()))
    harness.files.opened.clear()
    assert (await client.get(path)).status_code == 404
    assert harness.files.opened == []


async def test_a_missing_file_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.get("/outputs/fc-0001/0.png")).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"id": "x", "input": {"prompt": "no size"}}, ["body", "input", "image", "seed"]),
        ({"id": "", "input": an_image()["input"]}, ["body", "id"]),
        (a_training(steps=0), ["body", "input", "lora_training", "steps"]),
        (a_training(images=[]), ["body", "input", "lora_training"]),
        (an_image() | {"kind": "lora_training"}, ["body"]),
    ],
)
async def test_an_invalid_input_is_rejected_by_field_without_echoing_it(
    harness: AppHarness, client: httpx.AsyncClient, body: dict[str, Any], field: list[str]
) -> None:
    answer = await client.post("/submit", json=body)
    assert answer.status_code == 422
    detail = answer.json()["detail"]
    assert detail[0]["loc"] == field
    assert "no size" not in answer.text
    assert harness.calls.started == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (an_image(workflow={"1": {}}), "workflow"),
        (an_image(face_url="https://bucket.example/face.png"), "face_url"),
        (an_image(model="somebody/else"), "model"),
        (an_image(width=100_000), "width"),
        (a_training(base_model="somebody/else"), "base_model"),
    ],
)
async def test_an_unsupported_request_starts_nothing(
    harness: AppHarness, client: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    answer = await client.post("/submit", json=body)
    [detail] = answer.json()["detail"]
    assert (answer.status_code, detail["type"]) == (422, "unsupported")
    assert detail["loc"] == ["body", "input", field]
    assert harness.calls.started == []


async def test_enabled_features_are_accepted(tmp_path: Path) -> None:
    harness = AppHarness(tmp_path, comfyui=True, face_swap=True, training=False)
    async with harness.client() as client:
        await submit(client, an_image("1", workflow={"1": {}}, width=0))
        await submit(client, an_image("2", face_url="https://bucket.example/face.png"))
        assert (await client.post("/submit", json=an_image(workflow={}))).status_code == 422
        assert (await client.post("/submit", json=a_training())).status_code == 422
