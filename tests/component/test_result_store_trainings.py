"""render.succeeded of a training → weights and a manifest in the bucket, and what is said of them."""

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
from services.result_store import late
from services.result_store.fetching import OutputLate, OutputUnavailable
from services.result_store.late import PAUSES_SECONDS
from shared.clock import now
from shared.ids import uuid7
from tests.fakes.provider import a_spec
from tests.fakes.results import PATH, ResultsBench, a_result
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
def bench() -> ResultsBench:
    made = ResultsBench()
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


async def worked_off(bench: ResultsBench, done: Callable[[], object]) -> None:
    async with background(bench.trainings.run):
        await until(done)


async def stored(bench: ResultsBench, result: RenderSucceeded) -> StoredLora:
    """Let it be stored, and see that it was said once."""
    [said] = await bench.store(result)
    assert isinstance(said, RenderProgressed)
    await worked_off(bench, lambda: bench.publisher.said(ResultStored))
    [message] = bench.publisher.said(ResultStored)
    assert (message.attempt_id, message.duplicate, message.image) == (result.attempt_id, False, None)
    assert message.lora is not None
    return message.lora


async def refusal(bench: ResultsBench, result: RenderSucceeded) -> RenderFailed:
    await bench.store(result)
    await worked_off(bench, lambda: bench.publisher.said(RenderFailed))
    [failure] = bench.publisher.said(RenderFailed)
    assert bench.bucket.objects == {}
    return failure


async def test_weights_are_stored_under_their_hash_with_all_that_is_known_of_them(
    bench: ResultsBench,
) -> None:
    result = a_training(2)
    lora = await stored(bench, result)
    place = f"acme/{result.job_id}/0/{SHA256}"
    assert (lora.key, lora.manifest_key) == (f"{place}.safetensors", f"{place}.2.manifest.json")
    assert (lora.sha256, lora.bytes, lora.provider, lora.attempt) == (SHA256, len(LORA), "modal", 2)
    assert (lora.trigger_word, lora.base_model, lora.steps) == ("mia7", "FLUX.1-dev", 1200)
    assert bench.bucket.objects[lora.key] == LORA
    assert set(bench.bucket.objects) == {lora.key, lora.manifest_key}


async def test_the_manifest_tells_how_the_lora_came_about(bench: ResultsBench) -> None:
    bench.fetch.outputs[CONFIG] = b'{"rank": 16}'
    outputs = [Output(path=CONFIG, role="config"), Output(path=WEIGHTS, role="weights")]
    result = a_training(outputs=outputs)
    lora = await stored(bench, result)
    assert bench.bucket.types[lora.manifest_key] == "application/json"
    manifest = LoraManifest.model_validate_json(bench.bucket.objects[lora.manifest_key])
    assert (manifest.key, manifest.sha256, manifest.bytes) == (lora.key, SHA256, len(LORA))
    assert (manifest.training_images, manifest.captions) == (IMAGES, CAPTIONS)
    assert (manifest.created_at, manifest.config) == (result.at, {"rank": 16})
    assert (manifest.trigger_word, manifest.base_model, manifest.steps) == ("mia7", "FLUX.1-dev", 1200)
    assert (manifest.provider, manifest.attempt, manifest.provider_seconds) == ("modal", 1, 1.5)


@pytest.mark.parametrize("config", [b"no json", b"[1]", OutputUnavailable("404")])
async def test_a_training_is_no_worse_for_a_configuration_that_cannot_be_read(
    bench: ResultsBench, config: bytes | Exception
) -> None:
    bench.fetch.outputs[CONFIG] = config
    outputs = [Output(path=WEIGHTS, role="weights"), Output(path=CONFIG, role="config")]
    lora = await stored(bench, a_training(outputs=outputs))
    assert json.loads(bench.bucket.objects[lora.manifest_key])["config"] is None


async def test_the_batch_does_not_wait_for_weights_and_images_beside_them_are_stored(
    bench: ResultsBench,
) -> None:
    bench.fetch.slow[WEIGHTS] = asyncio.Event()
    bench.fetch.outputs[PATH] = comfyui_png()
    said = await bench.store(a_training(), a_result())
    assert [type(message) for message in said] == [RenderProgressed, ResultStored]
    assert bench.fetch.fetched == [PATH]


async def test_a_redelivered_training_is_said_the_same_and_fetched_no_more(bench: ResultsBench) -> None:
    result = a_training()
    await bench.store(result)
    [again] = await bench.store(result)
    assert isinstance(again, RenderProgressed)
    lora = await stored(bench, result)
    objects = dict(bench.bucket.objects)
    [said] = await bench.store(result)
    assert isinstance(said, ResultStored)
    assert (said.lora, said.duplicate) == (lora, False)
    assert (bench.fetch.fetched, bench.bucket.objects) == ([WEIGHTS], objects)


async def test_a_second_attempt_is_a_duplicate_that_is_not_fetched(bench: ResultsBench) -> None:
    first = a_training(1)
    lora = await stored(bench, first)
    [said] = await bench.store(a_training(2, OTHER, job_id=first.job_id))
    assert isinstance(said, ResultStored)
    assert (said.duplicate, said.lora) == (True, lora)
    assert bench.fetch.fetched == [WEIGHTS]


@pytest.mark.parametrize("path", [OTHER, WEIGHTS], ids=["other weights", "the same weights"])
async def test_of_two_attempts_at_once_one_wins_and_what_only_the_other_has_is_swept(
    bench: ResultsBench, path: str
) -> None:
    first = a_training(1)
    second = a_training(2, path, job_id=first.job_id)
    bench.fetch.slow[WEIGHTS] = asyncio.Event()
    await bench.store(first)
    async with background(bench.trainings.run), background(bench.trainings.run):
        await until(lambda: bench.fetch.fetched == [WEIGHTS])
        await bench.store(second)
        await until(lambda: bench.fetch.fetched == [WEIGHTS, path])
        bench.fetch.slow[WEIGHTS].set()
        await until(lambda: len(bench.bucket.puts) == 4 and bench.bucket.deleted)
        await until(lambda: len({each.attempt_id for each in bench.publisher.said(ResultStored)}) == 2)
    first_said = {each.attempt_id: each for each in bench.publisher.said(ResultStored)}
    [said] = [each for each in first_said.values() if not each.duplicate]
    assert said.lora is not None
    assert set(bench.bucket.objects) == {said.lora.key, said.lora.manifest_key}
    assert LoraManifest.model_validate_json(bench.bucket.objects[said.lora.manifest_key]).attempt == (
        said.lora.attempt
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
async def test_what_is_no_lora_of_ours_is_a_failure_with_its_reason(
    bench: ResultsBench, data: bytes | Exception, code: str
) -> None:
    bench.fetch.outputs[WEIGHTS] = data
    failure = await refusal(bench, a_training())
    assert (failure.code, failure.billed) == (code, "yes")
    assert failure.retryable == (code == "output_unavailable"), "the same trainer writes the same again"


async def test_a_pickle_is_not_even_fetched(bench: ResultsBench) -> None:
    failure = await refusal(bench, a_training(path="/outputs/fc-1/lora.ckpt"))
    assert failure.code == "pickled_weights"
    assert bench.fetch.fetched == []


async def test_a_training_without_weights_is_a_failure(bench: ResultsBench) -> None:
    failure = await refusal(bench, a_training(outputs=[Output(path=PATH)]))
    assert failure.code == "output_unavailable"


async def test_weights_must_have_the_hash_that_the_provider_told(bench: ResultsBench) -> None:
    assert (await stored(bench, a_training(sha256=SHA256))).sha256 == SHA256


async def test_weights_that_came_damaged_are_fetched_again(bench: ResultsBench) -> None:
    bench.fetch.outputs[WEIGHTS] = safetensors(data=b"\7" * 12)
    result = a_training(sha256=SHA256)
    await bench.store(result)
    await worked_off(bench, lambda: bench.document(result)["tries"])
    assert (bench.bucket.objects, bench.publisher.sent) == ({}, [])
    bench.fetch.outputs[WEIGHTS] = LORA
    bench.wake(result)
    await worked_off(bench, lambda: bench.publisher.said(ResultStored))
    assert bench.bucket.objects[f"acme/{result.job_id}/0/{SHA256}.safetensors"] == LORA


async def test_weights_that_never_come_are_given_up_and_said_once(bench: ResultsBench) -> None:
    bench.fetch.outputs[WEIGHTS] = OutputLate("503")
    result = a_training()
    await bench.store(result)
    for tries in range(len(PAUSES_SECONDS)):
        await worked_off(bench, lambda: bench.document(result)["tries"] == tries + 1)  # noqa: B023
        bench.wake(result)
    await worked_off(bench, lambda: bench.publisher.sent)
    [failure] = bench.publisher.said(RenderFailed)
    assert (failure.code, failure.retryable) == ("output_unavailable", True)


async def test_a_crash_between_storing_and_saying_leaves_the_message_to_the_outbox(
    bench: ResultsBench,
) -> None:
    result = a_training()
    await bench.store(result)
    bench.publisher.away = True
    await worked_off(bench, lambda: bench.document(result).get("outbox"))
    bench.publisher.away = False
    assert await bench.outbox.sweep(timedelta(seconds=-1)) == 1
    assert [said.attempt_id for said in bench.publisher.said(ResultStored)] == [result.attempt_id]


async def test_a_training_is_not_kept_from_others_by_a_process_that_died(bench: ResultsBench) -> None:
    result = a_training()
    await bench.store(result)
    assert len(await bench.assets.claim_due("lora_training", 1)) == 1
    assert await bench.assets.claim_due("lora_training", 1) == []
    bench.wake(result)
    lora = await stored(bench, result)
    assert bench.bucket.objects[lora.key] == LORA


async def test_weights_that_take_longer_than_a_claim_stay_claimed(
    bench: ResultsBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late, "CLAIM", timedelta(seconds=0.03))
    bench.fetch.slow[WEIGHTS] = asyncio.Event()
    result = a_training()
    await bench.store(result)
    async with background(bench.trainings.run):
        await until(lambda: bench.fetch.fetched)
        first = bench.document(result)["wake_at"]
        await until(lambda: bench.document(result)["wake_at"] > first)
        bench.fetch.slow[WEIGHTS].set()
        await until(lambda: bench.publisher.said(ResultStored))
    assert bench.document(result)["wake_at"] is None


async def test_a_lora_waits_for_no_image_and_no_image_for_a_lora(bench: ResultsBench) -> None:
    training, image = a_training(), a_result()
    bench.fetch.outputs[PATH] = OutputLate("503")
    await bench.store(training, image)
    bench.wake(image)
    assert [asset.id for asset in await bench.assets.claim_due("image", 4)] == [bench.id_of(image)]
    assert [asset.id for asset in await bench.assets.claim_due("lora_training", 4)] == [bench.id_of(training)]


async def test_a_lora_has_no_preview_and_is_no_image_that_a_request_can_name(bench: ResultsBench) -> None:
    result = a_training()
    await stored(bench, result)
    document = bench.document(result)
    assert (document["state"], document.get("preview"), document["wake_at"]) == ("stored", None, None)
    assert document["stored_at"] <= now()
    inputs = StoredInputs(bench.documents.mongo, bench.bucket)
    with pytest.raises(Rejected) as raised:
        await inputs.image_url("acme", bench.id_of(result))
    assert raised.value.code == "input_not_found"
