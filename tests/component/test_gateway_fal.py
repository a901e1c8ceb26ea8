"""What only Fal does: links of its own, a COMPLETED that may be a failure, a key to be kept."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from services.gateways.runtime.provider import Broken, Done, Missing, NoAnswer, Refused, Working
from shared.clock import now
from shared.ids import uuid7
from tests.fakes.adapters import KEY, Rig, a_rig, an_adapter
from tests.fakes.provider import FakeInputs, an_order

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
    """Answers as it is told, by path, and keeps every request."""

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
async def rig() -> AsyncIterator[Rig]:
    async with a_rig("fal") as made:
        made.inputs.images[ASSET] = b"png"
        yield made


async def test_the_body_is_the_models_input(rig: Rig) -> None:
    await rig.submit(an_order(seed=2**40, width=640, height=832))
    [entry] = await rig.submission_log()
    assert entry["input"] == {
        "prompt": "a lighthouse",
        "image_size": {"width": 640, "height": 832},
        "num_images": 1,
        "seed": 2**40,
        "output_format": "png",
        "enable_safety_checker": True,
    }


async def test_a_model_that_takes_a_negative_prompt_gets_it(rig: Rig) -> None:
    order = an_order(model="fal-ai/fast-sdxl", negative_prompt="blurry")
    payload = await rig.provider.prepare(order)
    assert payload["body"]["negative_prompt"] == "blurry"
    assert (rig.provider.dialect(order), rig.provider.dialect(an_order())) == ("tags", "prose")


@pytest.mark.parametrize("field", ["reference", "face"])
async def test_a_person_is_kept_by_the_identity_model_and_a_signed_link(rig: Rig, field: str) -> None:
    fields: dict[str, Any] = {field: ASSET}
    order = an_order(**fields)
    handle = await rig.submit(order)
    assert "/fal-ai/flux-pulid/requests/" in handle["status_url"]
    [entry] = await rig.submission_log()
    assert entry["input"]["reference_image_url"] == f"{rig.url}/{ASSET}?signature=s"
    assert isinstance(await rig.end(order, handle), Done)


async def test_a_lora_goes_as_a_signed_link_to_the_model_that_takes_one(rig: Rig) -> None:
    order = an_order(lora=LORA)
    handle = await rig.submit(order)
    assert "/fal-ai/flux-lora/requests/" in handle["status_url"]
    [entry] = await rig.submission_log()
    assert entry["input"]["loras"] == [{"path": f"{rig.url}/loras/mia.safetensors?signature=s", "scale": 0.8}]


async def test_a_model_that_is_asked_for_wins(rig: Rig) -> None:
    handle = await rig.submit(an_order(model="fal-ai/recraft/v3/text-to-image"))
    assert "/fal-ai/recraft/requests/" in handle["status_url"]
    payload = await rig.provider.prepare(an_order(model="fal-ai/flux"))
    assert payload["endpoint"] == "fal-ai/flux/dev"


async def test_a_workflow_is_not_for_fal(rig: Rig) -> None:
    with pytest.raises(Refused) as raised:
        await rig.provider.prepare(an_order(workflow={"1": {}}))
    assert raised.value.code == "unsupported"


async def test_fals_own_retries_are_off_and_it_may_wait_until_our_deadline() -> None:
    fal = FakeFal(submit=httpx.Response(200, json={"request_id": "r1"}))
    order = an_order(deadline_at=now() + timedelta(seconds=90))
    await fal.provider.submit(order, await fal.provider.prepare(order))
    [request] = fal.requests
    assert request.headers["X-Fal-No-Retry"] == "1"
    assert 88 <= float(request.headers["X-Fal-Request-Timeout"]) <= 90
    assert request.headers["Authorization"] == f"Key {KEY}"


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
    order = an_order()
    handle = await fal.provider.submit(order, await fal.provider.prepare(order))
    assert handle == LINKS
    assert isinstance(await fal.provider.poll(order, handle), Done)
    await fal.provider.cancel(order, handle)
    assert {request.url.host for request in fal.requests} == {"queue.fal.run"}


async def test_fals_own_links_are_used_as_they_are() -> None:
    links = {name: f"{QUEUE}/some/other/place/{name}" for name in LINKS if name != "id"}
    fal = FakeFal(submit=httpx.Response(200, json={"request_id": "r1"} | links))
    order = an_order()
    assert await fal.provider.submit(order, await fal.provider.prepare(order)) == {"id": "r1"} | links


async def test_a_result_that_is_still_in_progress_is_no_failure() -> None:
    fal = completed(httpx.Response(400, json={"detail": "Request is still in progress"}))
    assert await fal.provider.poll(an_order(), LINKS) == Working("running")


async def test_an_unknown_status_is_work_in_progress() -> None:
    fal = FakeFal(status=httpx.Response(200, json={"status": "THINKING"}))
    assert await fal.provider.poll(an_order(), LINKS) == Working("running")


async def test_a_place_in_the_queue_is_told() -> None:
    fal = FakeFal(status=httpx.Response(200, json={"status": "IN_QUEUE", "queue_position": 4}))
    assert await fal.provider.poll(an_order(), LINKS) == Working("queued", queue_position=4)


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
    news = await fal.provider.poll(an_order(), LINKS)
    assert isinstance(news, Broken)
    assert (news.code, news.retryable, news.billed) == (code, retryable, billed)
    assert kind in news.message


@pytest.mark.parametrize("status", [502, 503])
async def test_a_failure_that_looks_as_if_fal_were_away_is_told_by_the_status(status: int) -> None:
    body = {"detail": "Runner disconnected", "error_type": "runner_disconnected"}
    fal = completed(
        httpx.Response(status, json=body), error="Runner disconnected", error_type="runner_disconnected"
    )
    news = await fal.provider.poll(an_order(), LINKS)
    assert news == Broken("provider_error", "runner_disconnected: Runner disconnected", True, "no")
    away = completed(httpx.Response(status, text="bad gateway"))
    with pytest.raises(NoAnswer):
        await away.provider.poll(an_order(), LINKS)


async def test_a_models_error_names_the_field() -> None:
    detail = [{"loc": ["body", "prompt"], "msg": "too long", "type": "sequence_too_long"}]
    fal = completed(httpx.Response(422, json={"detail": detail}))
    news = await fal.provider.poll(an_order(), LINKS)
    assert isinstance(news, Broken)
    assert news.message == "sequence_too_long: body.prompt: too long"


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
    news = await fal.provider.poll(an_order(), LINKS)
    assert isinstance(news, Done)
    assert [(output.url, output.nsfw) for output in news.outputs] == [(IMAGE["url"], flagged)]
    assert news.seed == 196619188014358660


async def test_a_null_result_is_final_and_was_billed() -> None:
    news = await completed(httpx.Response(200, text=" null\n")).provider.poll(an_order(), LINKS)
    assert news == Broken("no_output", "the result is null", retryable=False, billed="yes")


@pytest.mark.parametrize("place", [-1, "3", None, 2.5])
async def test_a_place_that_is_none_is_not_told(place: Any) -> None:
    fal = FakeFal(status=httpx.Response(200, json={"status": "IN_QUEUE", "queue_position": place}))
    assert await fal.provider.poll(an_order(), LINKS) == Working("queued")


async def test_an_id_cannot_lead_to_another_place() -> None:
    fal = FakeFal(submit=httpx.Response(200, json={"request_id": "../../x?y"}))
    order = an_order()
    handle = await fal.provider.submit(order, await fal.provider.prepare(order))
    assert handle["cancel_url"] == f"{QUEUE}/fal-ai/flux/requests/..%2F..%2Fx%3Fy/cancel"


@pytest.mark.parametrize("body", [{}, {"images": []}, {"images": [{"url": 7}]}, {"images": 7}, {"video": {}}])
async def test_a_result_without_an_image_is_a_failure_that_was_billed(body: dict[str, Any]) -> None:
    fal = completed(httpx.Response(200, json=body))
    news = await fal.provider.poll(an_order(), LINKS)
    assert isinstance(news, Broken)
    assert (news.code, news.billed) == ("no_output", "yes")


async def test_a_result_that_has_expired_was_billed() -> None:
    fal = completed(httpx.Response(404, json={"detail": "Not found"}))
    news = await fal.provider.poll(an_order(), LINKS)
    assert isinstance(news, Missing)
    assert news.billed == "yes"
