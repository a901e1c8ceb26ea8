"""A training at Modal: links and captions go in, weights with a manifest come out."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from services.gateways.kit.provider import AttemptRequest, Completed, Failed, Rejected
from shared.clock import now
from shared.ids import uuid7
from tests.fakes.adapters import AdapterHarness, an_adapter, an_adapter_harness
from tests.fakes.provider import FakeInputs, an_attempt_request

JOB = uuid7()
IMAGES = tuple(f"{JOB}/{index}" for index in range(4))


def a_training(**fields: Any) -> AttemptRequest:
    known = {"kind": "lora_training", "prompt": "mia7", "training_images": IMAGES}
    return an_attempt_request("modal", **known | fields)


@pytest.fixture
async def harness() -> AsyncIterator[AdapterHarness]:
    async with an_adapter_harness("modal") as made:
        made.inputs.images.update(dict.fromkeys(IMAGES, b"png"))
        yield made


async def test_images_go_as_signed_links_with_their_captions(harness: AdapterHarness) -> None:
    request = a_training(captions=("front", "", "left", ""), steps=1200, seed=5)
    await harness.submit(request)
    [entry] = await harness.submission_log()
    assert (entry["our_id"], entry["input"]["kind"]) == (request.idempotency_key, "lora_training")
    asked = entry["input"]["input"]
    assert (asked["trigger_word"], asked["steps"], asked["seed"]) == ("mia7", 1200, 5)
    assert [image["url"] for image in asked["images"]] == [f"{harness.url}/{a}?signature=s" for a in IMAGES]
    assert [image["caption"] for image in asked["images"]] == ["mia7, front", "", "mia7, left", ""]


async def test_without_captions_and_steps_the_settings_say_how_long(harness: AdapterHarness) -> None:
    await harness.submit(a_training())
    [entry] = await harness.submission_log()
    asked = entry["input"]["input"]
    assert (asked["steps"], [image["caption"] for image in asked["images"]]) == (1000, [""] * 4)


async def test_the_links_live_as_long_as_the_training_may_wait(harness: AdapterHarness) -> None:
    await harness.provider.prepare(a_training(deadline_at=now() + timedelta(hours=2)))
    assert all(7100 < seconds <= 7200 for seconds in harness.inputs.link_seconds)
    assert len(harness.inputs.link_seconds) == 4


async def test_a_training_ends_with_the_file_that_its_manifest_names(harness: AdapterHarness) -> None:
    request = a_training(steps=700)
    status = await harness.end(request, await harness.submit(request))
    assert isinstance(status, Completed)
    [weights] = status.outputs
    assert (weights.role, weights.content_type) == ("weights", "application/octet-stream")
    assert weights.path is not None
    assert weights.path.endswith("/lora.safetensors")
    assert len(weights.sha256 or "") == 64
    assert (status.base_model, status.steps) == ("black-forest-labs/FLUX.1-dev", 700)


async def test_percent_is_reported_while_a_training_runs(harness: AdapterHarness) -> None:
    await harness.behave(latency_seconds=30)
    request = a_training()
    assert (await harness.reach(request, await harness.submit(request), "running")).percent == 0


async def test_a_training_that_the_application_would_refuse_is_rejected_before_it_is_sent(
    harness: AdapterHarness,
) -> None:
    with pytest.raises(Rejected) as raised:
        await harness.submit(a_training(prompt="m" * 101))
    assert raised.value.code == "invalid_request"
    assert await harness.submission_log() == []


async def test_a_training_without_a_manifest_is_a_failure_that_was_billed() -> None:
    body = {"status": "succeeded", "outputs": [{"path": "/outputs/fc-1/x", "content_type": "x"}]}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=body))
    http = httpx.AsyncClient(transport=transport, verify=False)
    provider = an_adapter("modal", http, "https://acme--imagegen.modal.run", FakeInputs())
    status = await provider.poll(a_training(), {"id": "fc-1"})
    assert isinstance(status, Failed)
    assert (status.code, status.billed) == ("no_output", "yes")
