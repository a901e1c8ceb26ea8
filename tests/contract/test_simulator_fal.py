"""The fal simulator, tested with fal's own client and a recorded session."""

import asyncio
import base64
import io
import json
import zipfile
from collections.abc import AsyncIterator
from typing import Any

import fal_client
import httpx
import pytest
from PIL import Image

from tests.contract.fal_simulated import ARGUMENTS, DEV, SAMPLES, ended, finished, simulator


@pytest.fixture
async def sdk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[fal_client.AsyncClient]:
    """Return fal's own client; only its built-in addresses are replaced."""
    async with simulator(latency_seconds=0.05) as client:
        base = str(client.base_url).rstrip("/")
        monkeypatch.setattr(fal_client.client, "QUEUE_URL_FORMAT", f"{base}/")
        monkeypatch.setattr(fal_client.client, "REST_URL", base)
        monkeypatch.setattr(fal_client.client, "CDN_URL", base)
        made = fal_client.AsyncClient(key="lab-id:lab-secret")
        yield made
        await (await made._client).aclose()


async def test_fals_client_submits_polls_and_reads_a_result(sdk: fal_client.AsyncClient) -> None:
    handle = await sdk.submit("fal-ai/flux/dev", ARGUMENTS, hint="lora-7", priority="low")
    events = [event async for event in handle.iter_events(with_logs=True, interval=0.01)]
    assert isinstance(events[-1], fal_client.Completed)
    result = await handle.get()
    assert result["seed"] == 5
    assert result["has_nsfw_concepts"] == [False]
    async with httpx.AsyncClient(trust_env=False) as anonymous:
        image = await anonymous.get(result["images"][0]["url"])
    assert Image.open(io.BytesIO(image.content)).size == (96, 128)
    assert await sdk.result("fal-ai/flux/dev", handle.request_id) == result


async def test_fals_client_cancels_and_uploads(sdk: fal_client.AsyncClient) -> None:
    handle = await sdk.submit("fal-ai/flux/dev", {"prompt": "[slow]"})
    await sdk.cancel("fal-ai/flux/dev", handle.request_id)
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        await handle.get()
    assert caught.value.error_type == "client_cancelled"
    url = await sdk.upload(b"hello", "text/plain", file_name="a.txt")
    old = await sdk.upload(b"hallo", "text/plain", file_name="b.txt", repository="fal")
    async with httpx.AsyncClient(trust_env=False) as anonymous:
        assert [(await anonymous.get(one)).text for one in (url, old)] == ["hello", "hallo"]


async def test_fals_blocking_client_works_too(sdk: fal_client.AsyncClient) -> None:
    blocking = fal_client.SyncClient(key="lab-id:lab-secret")
    handle = await asyncio.to_thread(blocking.submit, "fal-ai/flux-lora", ARGUMENTS)
    result = await asyncio.to_thread(handle.get, interval=0.02)
    assert len(result["images"]) == 1
    blocking._client.close()


async def test_the_recorded_requests_of_fals_client_are_answered() -> None:
    async with simulator() as client:
        replaced = {"RID": "", "Bearer T": ""}
        statuses = []
        for recorded in json.loads((SAMPLES / "client_wire.json").read_text()):
            text = json.dumps({key: recorded[key] for key in ("url", "headers")})
            for old, new in replaced.items():
                text = text.replace(old, new) if new else text
            request = json.loads(text)
            del request["headers"]["host"]
            url = httpx.URL(request["url"]).raw_path.decode()
            body = recorded["body"].encode("latin-1")
            answer = await client.request(recorded["method"], url, headers=request["headers"], content=body)
            statuses.append(answer.status_code)
            if "request_id" in answer.text and not replaced["RID"]:
                replaced["RID"] = answer.json()["request_id"]
                await finished(client, answer.json())
            if "token_type" in answer.text:
                replaced["Bearer T"] = f"Bearer {answer.json()['token']}"
        assert statuses == [200, 200, 200, 200, 200, 200, 400, 200, 200, 200, 200]
        assert answer.json()["access_url"].endswith("/a.png")


async def test_a_request_is_found_under_its_full_path_and_under_owner_and_alias() -> None:
    async with simulator() as client:
        urls = (await client.post(DEV, json=ARGUMENTS)).json()
        assert "/fal-ai/flux/requests/" in urls["response_url"]
        await finished(client, urls)
        paths = {
            f"{DEV}/requests/{urls['request_id']}": 200,
            f"/fal-ai/flux/requests/{urls['request_id']}/response": 200,
            f"/fal-ai/other/requests/{urls['request_id']}": 404,
            "/fal-ai/flux/requests/unknown/status": 404,
        }
        for path, status in paths.items():
            assert (await client.get(path)).status_code == status, path


async def test_a_submit_without_a_key_is_rejected() -> None:
    async with simulator() as client:
        answer = await client.post(DEV, json=ARGUMENTS, headers={"Authorization": "Bearer x"})
        assert answer.status_code == 401


async def test_a_result_requested_too_early_is_not_ready() -> None:
    async with simulator(latency_seconds=5) as client:
        urls = (await client.post(DEV, json=ARGUMENTS)).json()
        early = await client.get(urls["response_url"])
        assert (early.status_code, early.json()) == (
            400,
            {"detail": "Request is still in progress"},
        )


async def test_waiting_requests_have_a_position_and_disappear_when_cancelled() -> None:
    async with simulator(latency_seconds=5, concurrency=1) as client:
        first, _, third = [(await client.post(DEV, json=ARGUMENTS)).json() for _ in range(3)]
        status = (await client.get(third["status_url"])).json()
        assert (status["status"], status["queue_position"]) == ("IN_QUEUE", 1)
        for urls, after in ((third, 404), (first, 200)):
            cancelled = await client.put(urls["cancel_url"])
            assert cancelled.status_code == 202
            assert (await client.get(urls["status_url"])).status_code == after
        assert (await client.get(first["response_url"])).status_code == 499


@pytest.mark.parametrize(
    ("path", "arguments", "status", "kind"),
    [
        (DEV, {"seed": 1}, 422, "missing"),
        (DEV, {"prompt": "x", "num_images": 9}, 422, "less_than_equal"),
        (DEV, {"prompt": "x [fail]"}, 422, "no_media_generated"),
        (DEV, {"prompt": "x [oom]"}, 500, "runner_server_error"),
        ("/fal-ai/flux-pulid", {"prompt": "x"}, 422, "missing"),
        (
            "/fal-ai/flux-pulid",
            {"prompt": "x", "reference_image_url": "https://example.com/a.png"},
            422,
            "file_download_error",
        ),
        (
            "/fal-ai/face-swap",
            {"base_image_url": "data:,a", "swap_image_url": "data:,b"},
            422,
            "image_load_error",
        ),
    ],
)
async def test_a_failed_request_is_completed_with_an_error_at_the_result(
    path: str, arguments: dict[str, Any], status: int, kind: str
) -> None:
    async with simulator() as client:
        urls = (await client.post(path, json=arguments)).json()
        end = await finished(client, urls)
        assert end["error_type"] == kind
        result = await client.get(urls["response_url"])
        assert result.status_code == status
        assert result.headers["x-fal-error-type"] == kind


async def test_a_flagged_picture_is_black_in_a_normal_answer() -> None:
    async with simulator() as client:
        result = await ended(client, DEV, {**ARGUMENTS, "prompt": "x [nsfw]", "output_format": "png"})
        assert result.status_code == 200
        assert result.json()["has_nsfw_concepts"] == [True]
        image = await client.get(result.json()["images"][0]["url"])
        assert Image.open(io.BytesIO(image.content)).getextrema() == ((0, 0),) * 3


async def test_a_reference_is_read_from_its_uploaded_file() -> None:
    async with simulator() as client:
        made = await ended(client, DEV, ARGUMENTS)
        arguments = {**ARGUMENTS, "reference_image_url": made.json()["images"][0]["url"]}
        result = await ended(client, "/fal-ai/flux-pulid", arguments)
        assert result.status_code == 200


@pytest.mark.parametrize(
    ("images", "status", "kind"), [(4, 200, ""), (3, 422, "archive_file_count_below_minimum")]
)
async def test_training_requires_at_least_four_images(images: int, status: int, kind: str) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for index in range(images):
            archive.writestr(f"{index}.png", b"x")
    url = "data:application/zip;base64," + base64.b64encode(buffer.getvalue()).decode()
    async with simulator() as client:
        arguments = {"images_data_url": url, "trigger_word": "anna"}
        result = await ended(client, "/fal-ai/flux-lora-fast-training", arguments)
        assert result.status_code == status
        assert result.headers.get("x-fal-error-type", "") == kind
        if status == 200:
            lora = result.json()["diffusers_lora_file"]
            assert len((await client.get(lora["url"])).content) == lora["file_size"]


async def test_the_status_stream_ends_with_completed() -> None:
    async with simulator(latency_seconds=0.1) as client:
        urls = (await client.post(DEV, json=ARGUMENTS)).json()
        stream = await client.get(urls["status_url"] + "/stream?logs=1")
        events = [json.loads(line[6:]) for line in stream.text.split("\n\n") if line]
        assert events[-1]["status"] == "COMPLETED"
        assert events[-1]["logs"]
