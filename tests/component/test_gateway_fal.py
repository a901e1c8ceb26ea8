"""Behaviour of Fal only: links of its own, a COMPLETED that may be a failure, a key to protect."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from services.gateways.kit.provider import (
    Completed,
    Failed,
    InProgress,
    NotFound,
    Rejected,
    StatusUnavailable,
)
from shared.clock import now
from shared.ids import uuid7
from tests.fakes.adapters import KEY, AdapterHarness, an_adapter, an_adapter_harness
from tests.fakes.provider import FakeInputs, an_attempt_request

QUEUE = "https://queue.fal.run"
ASSET = f"{uuid7()}/0"
LORA = {"key": "loras/mia.safetensors", "trigger_word": "mia7", "scale": 0.8}
LINKS = {
    "id": "r1",
    "status_url": f"{QUEUE}/fal-ai/flux/requests/r1/status",
    "response_url": f"{QUEUE}/fal-ai/flux/requests/r1",
    "cancel_url": f"{QUEUE}/fal-ai/flux/requests/r1/cancel",
}
IMAGE = {"url": "https://v3.fal.media/files/a/b.png", "content_type": "image/png"}


class FakeFal:
    """Gives scripted answers by path, and keeps every request."""

    def __init__(self, **answers: httpx.Response) -> None:
        self.requests: list[httpx.Request] = []
        self.answers = answers
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer), verify=False)
        self.provider = an_adapter("fal", http, QUEUE, FakeInputs(images={ASSET: b"png"}))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        end = request.url.path.rpartition("/")[2]
        return self.answers.get(end) or self.answers["result" if end == "r1" else "submit"]


def completed(result: httpx.Response, **more: Any) -> FakeFal:
    return FakeFal(status=httpx.Response(200, json={"status": "COMPLETED"} | more), result=result)


@pytest.fixture
async def harness() -> AsyncIterator[AdapterHarness]:
    async with an_adapter_harness("fal") as made:
        made.inputs.images[ASSET] = b"png"
        yield made


async def test_the_body_is_the_models_input(harness: AdapterHarness) -> None:
    await harness.submit(an_attempt_request(seed=2**40, width=640, height=832))
    [entry] = await harness.submission_log()
    assert entry["input"] == {
        "prompt": "a lighthouse",
        "image_size": {"width": 640, "height": 832},
        "num_images": 1,
        "seed": 2**40,
        "output_format": "png",
        "enable_safety_checker": True,
    }


async def test_a_model_that_takes_a_negative_prompt_gets_it(harness: AdapterHarness) -> None:
    request = an_attempt_request(model="fal-ai/fast-sdxl", negative_prompt="blurry")
    payload = await harness.provider.prepare(request)
    assert payload["body"]["negative_prompt"] == "blurry"
    assert (harness.provider.dialect(request), harness.provider.dialect(an_attempt_request())) == (
        "tags",
        "prose",
    )


@pytest.mark.parametrize("field", ["reference", "face"])
async def test_a_person_is_kept_by_the_identity_model_and_a_signed_link(
    harness: AdapterHarness, field: str
) -> None:
    fields: dict[str, Any] = {field: ASSET}
    request = an_attempt_request(**fields)
    ref = await harness.submit(request)
    assert "/fal-ai/flux-pulid/requests/" in ref["status_url"]
    [entry] = await harness.submission_log()
    assert entry["input"]["reference_image_url"] == f"{harness.url}/{ASSET}?signature=s"
    assert isinstance(await harness.end(request, ref), Completed)


async def test_a_lora_is_sent_as_a_signed_link_to_the_lora_model(harness: AdapterHarness) -> None:
    request = an_attempt_request(lora=LORA)
    ref = await harness.submit(request)
    assert "/fal-ai/flux-lora/requests/" in ref["status_url"]
    [entry] = await harness.submission_log()
    assert entry["input"]["loras"] == [
        {"path": f"{harness.url}/loras/mia.safetensors?signature=s", "scale": 0.8}
    ]


async def test_a_model_that_is_asked_for_wins(harness: AdapterHarness) -> None:
    ref = await harness.submit(an_attempt_request(model="fal-ai/recraft/v3/text-to-image"))
    assert "/fal-ai/recraft/requests/" in ref["status_url"]
    payload = await harness.provider.prepare(an_attempt_request(model="fal-ai/flux"))
    assert payload["endpoint"] == "fal-ai/flux/dev"


async def test_a_workflow_is_not_for_fal(harness: AdapterHarness) -> None:
    with pytest.raises(Rejected) as raised:
        await harness.provider.prepare(an_attempt_request(workflow={"1": {}}))
    assert raised.value.code == "unsupported"


async def test_fals_own_retries_are_off_and_it_may_wait_until_our_deadline() -> None:
    fal = FakeFal(submit=httpx.Response(200, json={"request_id": "r1"}))
    request = an_attempt_request(deadline_at=now() + timedelta(seconds=90))
    await fal.provider.submit(request, await fal.provider.prepare(request))
    [sent] = fal.requests
    assert sent.headers["X-Fal-No-Retry"] == "1"
    assert 88 <= float(sent.headers["X-Fal-Request-Timeout"]) <= 90
    assert sent.headers["Authorization"] == f"Key {KEY}"


@pytest.mark.parametrize(
    "host",
    [
        "https://evil.example",
        "http://queue.fal.run",
        "https://queue.fal.run.evil.example",
        "https://queue.fal.run@evil.example",
        "//queue.fal.run",
        f"{QUEUE}/\x00",
        f"{QUEUE}/{'x' * 70_000}",
    ],
)
async def test_links_to_another_host_are_not_used_and_our_key_stays_here(host: str) -> None:
    path = "/fal-ai/flux/requests/r1"
    links = {"response_url": host + path, "status_url": f"{host}{path}/status", "cancel_url": 7}
    fal = FakeFal(
        submit=httpx.Response(200, json={"request_id": "r1"} | links),
        status=httpx.Response(200, json={"status": "COMPLETED"} | links),
        result=httpx.Response(200, json={"images": [IMAGE]}),
        cancel=httpx.Response(202, json={}),
    )
    request = an_attempt_request()
    ref = await fal.provider.submit(request, await fal.provider.prepare(request))
    assert ref == LINKS
    assert isinstance(await fal.provider.poll(request, ref), Completed)
    await fal.provider.cancel(request, ref)
    assert {request.url.host for request in fal.requests} == {"queue.fal.run"}


async def test_fals_own_links_are_used_as_they_are() -> None:
    links = {name: f"{QUEUE}/some/other/place/{name}" for name in LINKS if name != "id"}
    fal = FakeFal(submit=httpx.Response(200, json={"request_id": "r1"} | links))
    request = an_attempt_request()
    assert await fal.provider.submit(request, await fal.provider.prepare(request)) == {"id": "r1"} | links


async def test_a_result_that_is_still_in_progress_is_no_failure() -> None:
    fal = completed(httpx.Response(400, json={"detail": "Request is still in progress"}))
    assert await fal.provider.poll(an_attempt_request(), LINKS) == InProgress("running")


async def test_an_unknown_status_is_work_in_progress() -> None:
    fal = FakeFal(status=httpx.Response(200, json={"status": "THINKING"}))
    assert await fal.provider.poll(an_attempt_request(), LINKS) == InProgress("running")


async def test_a_queue_position_is_reported() -> None:
    fal = FakeFal(status=httpx.Response(200, json={"status": "IN_QUEUE", "queue_position": 4}))
    assert await fal.provider.poll(an_attempt_request(), LINKS) == InProgress("queued", queue_position=4)


@pytest.mark.parametrize(
    ("status", "kind", "headers", "code", "retryable", "billed"),
    [
        (422, "content_policy_violation", {}, "nsfw", False, "no"),
        (422, "never_heard_of", {}, "provider_error", False, "no"),
        (500, "runner_server_error", {}, "provider_error", True, "no"),
        (504, "request_timeout", {}, "provider_error", True, "no"),
        (504, "request_timeout", {"X-Fal-Request-Timeout-Type": "user"}, "provider_error", False, "no"),
        (500, "internal_server_error", {"X-Fal-Retryable": "true"}, "provider_error", True, "no"),
        (499, "client_cancelled", {}, "provider_error", False, "unknown"),
    ],
)
async def test_completed_may_be_a_failure(
    status: int, kind: str, headers: dict[str, str], code: str, retryable: bool, billed: str
) -> None:
    body = {"detail": "it did not work", "error_type": kind}
    fal = completed(httpx.Response(status, json=body, headers=headers))
    outcome = await fal.provider.poll(an_attempt_request(), LINKS)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable, outcome.billed) == (code, retryable, billed)
    assert kind in outcome.message


@pytest.mark.parametrize("status", [502, 503])
async def test_a_failure_with_status_502_or_503_is_read_from_the_request_status(status: int) -> None:
    body = {"detail": "Runner disconnected", "error_type": "runner_disconnected"}
    fal = completed(
        httpx.Response(status, json=body), error="Runner disconnected", error_type="runner_disconnected"
    )
    outcome = await fal.provider.poll(an_attempt_request(), LINKS)
    assert outcome == Failed("provider_error", "runner_disconnected: Runner disconnected", True, "no")
    away = completed(httpx.Response(status, text="bad gateway"))
    with pytest.raises(StatusUnavailable):
        await away.provider.poll(an_attempt_request(), LINKS)


async def test_a_models_error_names_the_field() -> None:
    detail = [{"loc": ["body", "prompt"], "msg": "too long", "type": "sequence_too_long"}]
    fal = completed(httpx.Response(422, json={"detail": detail}))
    status = await fal.provider.poll(an_attempt_request(), LINKS)
    assert isinstance(status, Failed)
    assert status.message == "sequence_too_long: body.prompt: too long"


@pytest.mark.parametrize(
    ("body", "flagged"),
    [
        ({"images": [IMAGE], "has_nsfw_concepts": [True]}, True),
        ({"images": [IMAGE], "nsfw_content_detected": [True]}, True),
        ({"images": [IMAGE], "nsfw_content_detected": True}, True),
        ({"images": [IMAGE], "has_nsfw_concepts": [False]}, False),
        ({"images": [IMAGE], "has_nsfw_concepts": []}, False),
        ({"image": IMAGE}, False),
        ({"image": IMAGE | {"content_type": 7}, "metrics": 7}, False),
    ],
)
async def test_flags_and_images_are_read_in_every_shape(body: dict[str, Any], flagged: bool) -> None:
    fal = completed(httpx.Response(200, json=body | {"seed": 196619188014358660}), metrics=7)
    status = await fal.provider.poll(an_attempt_request(), LINKS)
    assert isinstance(status, Completed)
    assert [(output.url, output.nsfw) for output in status.outputs] == [(IMAGE["url"], flagged)]
    assert status.seed == 196619188014358660


async def test_a_null_result_is_final_and_was_billed() -> None:
    status = await completed(httpx.Response(200, text=" null\n")).provider.poll(an_attempt_request(), LINKS)
    assert status == Failed("no_output", "the result is null", retryable=False, billed="yes")


@pytest.mark.parametrize("place", [-1, "3", None, 2.5])
async def test_an_invalid_queue_position_is_ignored(place: Any) -> None:
    fal = FakeFal(status=httpx.Response(200, json={"status": "IN_QUEUE", "queue_position": place}))
    assert await fal.provider.poll(an_attempt_request(), LINKS) == InProgress("queued")


async def test_an_id_cannot_lead_to_another_place() -> None:
    fal = FakeFal(submit=httpx.Response(200, json={"request_id": "../../x?y"}))
    request = an_attempt_request()
    ref = await fal.provider.submit(request, await fal.provider.prepare(request))
    assert ref["cancel_url"] == f"{QUEUE}/fal-ai/flux/requests/..%2F..%2Fx%3Fy/cancel"


@pytest.mark.parametrize("body", [{}, {"images": []}, {"images": [{"url": 7}]}, {"images": 7}, {"video": {}}])
async def test_a_result_without_an_image_is_a_failure_that_was_billed(body: dict[str, Any]) -> None:
    fal = completed(httpx.Response(200, json=body))
    status = await fal.provider.poll(an_attempt_request(), LINKS)
    assert isinstance(status, Failed)
    assert (status.code, status.billed) == ("no_output", "yes")


async def test_a_result_that_has_expired_was_billed() -> None:
    fal = completed(httpx.Response(404, json={"detail": "Not found"}))
    status = await fal.provider.poll(an_attempt_request(), LINKS)
    assert isinstance(status, NotFound)
    assert status.billed == "yes"
