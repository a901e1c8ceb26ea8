"""render.succeeded of a training → weights and a manifest in the bucket, and messages."""

import asyncio
import hashlib
import json
import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from contracts.renders import (
    LoraManifest,
    Output,
    RenderFailed,
    RenderProgressed,
    RenderSucceeded,
    ResultStored,
    StoredLora,
)
from services.gateways.kit.inputs import StoredInputs
from services.gateways.kit.provider import Rejected
from services.result_store.fetching import OutputNotReady, OutputUnavailable
from services.result_store.pending_outputs import PAUSES_SECONDS
from shared.clock import now
from shared.ids import uuid7
from tests.fakes.provider import a_spec
from tests.fakes.results import PATH, ResultStoreHarness, a_result
from tests.fakes.waiting import background, until
from tests.unit.result_store.pictures import comfyui_png
from tests.unit.result_store.weights import safetensors

WEIGHTS, CONFIG = "/outputs/fc-1/lora.safetensors", "/outputs/fc-1/config.json"
OTHER = "/outputs/fc-2/lora.safetensors"
IMAGES = tuple(f"{uuid7()}/{index}" for index in range(4))
CAPTIONS = ("front", "", "left", "")
LORA = safetensors()
SHA256 = hashlib.sha256(LORA).hexdigest()


@pytest.fixture
def harness() -> ResultStoreHarness:
    made = ResultStoreHarness()
    made.fetch.outputs[WEIGHTS] = LORA
    made.fetch.outputs[OTHER] = safetensors(data=b"\1" * 12)
    return made


def a_training(
    n: int = 1, path: str = WEIGHTS, *, sha256: str | None = None, **fields: Any
) -> RenderSucceeded:
    spec = a_spec(kind="lora_training", prompt="mia7", training_images=IMAGES, captions=CAPTIONS, steps=1200)
    outputs = [Output(path=path, role="weights", sha256=sha256)]
    known: dict[str, Any] = {"spec": spec, "outputs": outputs, "base_model": "FLUX.1-dev", "steps": 1200}
    return a_result(n, **known | fields)


async def worked_off(harness: ResultStoreHarness, done: Callable[[], object]) -> None:
    async with background(harness.trainings.run):
        await until(done)


async def stored(harness: ResultStoreHarness, result: RenderSucceeded) -> StoredLora:
    """Store a training, and check that it is published once."""
    [published] = await harness.store(result)
    assert isinstance(published, RenderProgressed)
    await worked_off(harness, lambda: harness.publisher.published(ResultStored))
    [message] = harness.publisher.published(ResultStored)
    assert (message.attempt_id, message.duplicate, message.image) == (result.attempt_id, False, None)
    assert message.lora is not None
    return message.lora


async def refusal(harness: ResultStoreHarness, result: RenderSucceeded) -> RenderFailed:
    await harness.store(result)
    await worked_off(harness, lambda: harness.publisher.published(RenderFailed))
    [failure] = harness.publisher.published(RenderFailed)
    assert harness.bucket.objects == {}
    return failure


async def test_weights_are_stored_under_their_hash_with_their_details(
    harness: ResultStoreHarness,
) -> None:
    result = a_training(2)
    lora = await stored(harness, result)
    place = f"acme/{result.job_id}/0/{SHA256}"
    assert (lora.key, lora.manifest_key) == (f"{place}.safetensors", f"{place}.2.manifest.json")
    assert (lora.sha256, lora.bytes, lora.provider, lora.attempt) == (SHA256, len(LORA), "modal", 2)
    assert (lora.trigger_word, lora.base_model, lora.steps) == ("mia7", "FLUX.1-dev", 1200)
    assert harness.bucket.objects[lora.key] == LORA
    assert set(harness.bucket.objects) == {lora.key, lora.manifest_key}


async def test_the_manifest_describes_the_training(harness: ResultStoreHarness) -> None:
    harness.fetch.outputs[CONFIG] = b'{"rank": 16}'
    outputs = [Output(path=CONFIG, role="config"), Output(path=WEIGHTS, role="weights")]
    result = a_training(outputs=outputs)
    lora = await stored(harness, result)
    assert harness.bucket.types[lora.manifest_key] == "application/json"
    manifest = LoraManifest.model_validate_json(harness.bucket.objects[lora.manifest_key])
    assert (manifest.key, manifest.sha256, manifest.bytes) == (lora.key, SHA256, len(LORA))
    assert (manifest.training_images, manifest.captions) == (IMAGES, CAPTIONS)
    assert (manifest.created_at, manifest.config) == (result.at, {"rank": 16})
    assert (manifest.trigger_word, manifest.base_model, manifest.steps) == ("mia7", "FLUX.1-dev", 1200)
    assert (manifest.provider, manifest.attempt, manifest.provider_seconds) == ("modal", 1, 1.5)


@pytest.mark.parametrize("config", [b"no json", b"[1]", OutputUnavailable("404")])
async def test_an_unreadable_configuration_is_ignored(
    harness: ResultStoreHarness, config: bytes | Exception
) -> None:
    harness.fetch.outputs[CONFIG] = config
    outputs = [Output(path=WEIGHTS, role="weights"), Output(path=CONFIG, role="config")]
    lora = await stored(harness, a_training(outputs=outputs))
    assert json.loads(harness.bucket.objects[lora.manifest_key])["config"] is None


async def test_a_batch_does_not_wait_for_weights(
    harness: ResultStoreHarness,
) -> None:
    harness.fetch.slow[WEIGHTS] = asyncio.Event()
    harness.fetch.outputs[PATH] = comfyui_png()
    published = await harness.store(a_training(), a_result())
    assert [type(message) for message in published] == [RenderProgressed, ResultStored]
    assert harness.fetch.fetched == [PATH]


async def test_a_redelivered_training_is_published_again_without_a_fetch(harness: ResultStoreHarness) -> None:
    result = a_training()
    await harness.store(result)
    [again] = await harness.store(result)
    assert isinstance(again, RenderProgressed)
    lora = await stored(harness, result)
    objects = dict(harness.bucket.objects)
    [published] = await harness.store(result)
    assert isinstance(published, ResultStored)
    assert (published.lora, published.duplicate) == (lora, False)
    assert (harness.fetch.fetched, harness.bucket.objects) == ([WEIGHTS], objects)


async def test_a_second_attempt_is_a_duplicate_that_is_not_fetched(harness: ResultStoreHarness) -> None:
    first = a_training(1)
    lora = await stored(harness, first)
    [published] = await harness.store(a_training(2, OTHER, job_id=first.job_id))
    assert isinstance(published, ResultStored)
    assert (published.duplicate, published.lora) == (True, lora)
    assert harness.fetch.fetched == [WEIGHTS]


@pytest.mark.parametrize("path", [OTHER, WEIGHTS], ids=["other weights", "the same weights"])
async def test_one_of_two_concurrent_trainings_wins_and_the_losers_objects_are_deleted(
    harness: ResultStoreHarness, path: str
) -> None:
    first = a_training(1)
    second = a_training(2, path, job_id=first.job_id)
    harness.fetch.slow[WEIGHTS] = asyncio.Event()
    await harness.store(first)
    async with background(harness.trainings.run), background(harness.trainings.run):
        await until(lambda: harness.fetch.fetched == [WEIGHTS])
        await harness.store(second)
        await until(lambda: harness.fetch.fetched == [WEIGHTS, path])
        harness.fetch.slow[WEIGHTS].set()
        await until(lambda: len(harness.bucket.puts) == 4 and harness.bucket.deleted)
        await until(lambda: len({each.attempt_id for each in harness.publisher.published(ResultStored)}) == 2)
    first_said = {each.attempt_id: each for each in harness.publisher.published(ResultStored)}
    [published] = [each for each in first_said.values() if not each.duplicate]
    assert published.lora is not None
    assert set(harness.bucket.objects) == {published.lora.key, published.lora.manifest_key}
    assert LoraManifest.model_validate_json(harness.bucket.objects[published.lora.manifest_key]).attempt == (
        published.lora.attempt
    )


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"<html>sorry</html>", "not_safetensors"),
        (LORA[:-1], "not_safetensors"),
        (pickle.dumps({"weight": 1}), "pickled_weights"),
        (LORA + bytes(100_000), "weights_too_large"),
        (OutputUnavailable("404"), "output_unavailable"),
    ],
)
async def test_unacceptable_weights_are_a_failure_with_their_reason(
    harness: ResultStoreHarness, data: bytes | Exception, code: str
) -> None:
    harness.fetch.outputs[WEIGHTS] = data
    failure = await refusal(harness, a_training())
    assert (failure.code, failure.billed) == (code, "yes")
    assert failure.retryable == (code == "output_unavailable"), "the same trainer writes the same again"


async def test_a_pickle_is_not_fetched(harness: ResultStoreHarness) -> None:
    failure = await refusal(harness, a_training(path="/outputs/fc-1/lora.ckpt"))
    assert failure.code == "pickled_weights"
    assert harness.fetch.fetched == []


async def test_a_training_without_weights_is_a_failure(harness: ResultStoreHarness) -> None:
    failure = await refusal(harness, a_training(outputs=[Output(path=PATH)]))
    assert failure.code == "output_unavailable"


async def test_weights_must_have_the_hash_that_the_provider_reported(harness: ResultStoreHarness) -> None:
    assert (await stored(harness, a_training(sha256=SHA256))).sha256 == SHA256


async def test_damaged_weights_are_fetched_again(harness: ResultStoreHarness) -> None:
    harness.fetch.outputs[WEIGHTS] = safetensors(data=b"\7" * 12)
    result = a_training(sha256=SHA256)
    await harness.store(result)
    await worked_off(harness, lambda: harness.document(result)["tries"])
    assert (harness.bucket.objects, harness.publisher.sent) == ({}, [])
    harness.fetch.outputs[WEIGHTS] = LORA
    harness.wake(result)
    await worked_off(harness, lambda: harness.publisher.published(ResultStored))
    assert harness.bucket.objects[f"acme/{result.job_id}/0/{SHA256}.safetensors"] == LORA


async def test_weights_that_are_never_ready_are_given_up_and_their_failure_published_once(
    harness: ResultStoreHarness,
) -> None:
    harness.fetch.outputs[WEIGHTS] = OutputNotReady("503")
    result = a_training()
    await harness.store(result)
    for tries in range(len(PAUSES_SECONDS)):
        await worked_off(harness, lambda: harness.document(result)["tries"] == tries + 1)  # noqa: B023
        harness.wake(result)
    await worked_off(harness, lambda: harness.publisher.sent)
    [failure] = harness.publisher.published(RenderFailed)
    assert (failure.code, failure.retryable) == ("output_unavailable", True)


async def test_a_crash_between_storing_and_publishing_leaves_the_message_in_the_outbox(
    harness: ResultStoreHarness,
) -> None:
    result = a_training()
    await harness.store(result)
    harness.publisher.away = True
    await worked_off(harness, lambda: harness.document(result).get("outbox"))
    harness.publisher.away = False
    assert await harness.outbox.sweep(timedelta(seconds=-1)) == 1
    assert [each.attempt_id for each in harness.publisher.published(ResultStored)] == [result.attempt_id]


async def test_a_training_of_a_dead_process_is_claimed_by_another(harness: ResultStoreHarness) -> None:
    result = a_training()
    await harness.store(result)
    assert len(await harness.assets.claim_due("lora_training", 1)) == 1
    assert await harness.assets.claim_due("lora_training", 1) == []
    harness.wake(result)
    lora = await stored(harness, result)
    assert harness.bucket.objects[lora.key] == LORA


async def test_weights_that_take_longer_than_a_claim_stay_claimed(
    harness: ResultStoreHarness,
) -> None:
    harness.fetch.slow[WEIGHTS] = asyncio.Event()
    result = a_training()
    await harness.store(result)
    async with background(harness.trainings.run):
        await until(lambda: harness.fetch.fetched)
        first = harness.document(result)["wake_at"]
        await until(lambda: harness.document(result)["wake_at"] > first)
        harness.fetch.slow[WEIGHTS].set()
        await until(lambda: harness.publisher.published(ResultStored))
    assert harness.document(result)["wake_at"] is None


async def test_loras_and_images_do_not_wait_for_each_other(harness: ResultStoreHarness) -> None:
    training, image = a_training(), a_result()
    harness.fetch.outputs[PATH] = OutputNotReady("503")
    await harness.store(training, image)
    harness.wake(image)
    assert [asset.id for asset in await harness.assets.claim_due("image", 4)] == [harness.id_of(image)]
    assert [asset.id for asset in await harness.assets.claim_due("lora_training", 4)] == [
        harness.id_of(training)
    ]


async def test_a_lora_has_no_preview_and_no_image_key(harness: ResultStoreHarness) -> None:
    result = a_training()
    await stored(harness, result)
    document = harness.document(result)
    assert (document["state"], document.get("preview"), document["wake_at"]) == ("stored", None, None)
    assert document["stored_at"] <= now()
    inputs = StoredInputs(harness.documents.mongo, harness.bucket)
    with pytest.raises(Rejected) as raised:
        await inputs.image_url("acme", harness.id_of(result))
    assert raised.value.code == "input_not_found"
