"""A LoRA is trained at Fal and at Modal, and draws its character at all three providers."""

import hashlib
import io
import zipfile
from collections.abc import AsyncIterator
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import httpx
import pytest
import pytest_asyncio

from contracts.base import PROVIDERS, Provider
from contracts.renders import LoraManifest, StoredLora
from shared.ids import uuid7
from tests.e2e.platform import CHARACTER, TENANT, Platform

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

TRAINERS: tuple[Provider, ...] = ("fal", "modal")
CAPTIONS = ["mara7, front view", "left profile", "", "mara7 laughing"]


class TrainingSteps:
    """Data that later tests of this module use."""

    def __init__(self, character_id: str, images: list[str]) -> None:
        self.character_id = character_id
        self.images = images
        self.loras: dict[Provider, StoredLora] = {}
        self.jobs: dict[Provider, str] = {}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def steps(platform: Platform) -> AsyncIterator[TrainingSteps]:
    """Yield a stored character with four images."""
    character_id = f"char-{uuid7()}"
    answer = await platform.post("/v1/characters", {"id": character_id, "character": CHARACTER})
    assert answer.status_code == 202, answer.text
    pictures = await platform.publish({"type": "studio", "character": CHARACTER, "count": 4})
    (end,) = await platform.ended(pictures)
    assert end.delivered == 4
    yield TrainingSteps(character_id, [f"{pictures}/{index}" for index in range(4)])


async def read(url: str) -> bytes:
    """Read a file as the owner of its link does."""
    async with httpx.AsyncClient() as anyone:
        answer = await anyone.get(url)
        answer.raise_for_status()
        return answer.content


async def submissions_of_job(platform: Platform, provider: Provider, job_id: str) -> list[dict[str, Any]]:
    """Return the submissions of a job at a provider, found by the keys in the ledger."""
    ledger = [entry for entry in await platform.ledger() if entry["_id"].startswith(job_id)]
    known = {entry.get("external_id") for entry in ledger if entry["provider"] == provider}
    return [entry for entry in await platform.submissions(provider) if entry["id"] in known]


@pytest.mark.parametrize("trainer", TRAINERS)
async def test_a_training_goes_from_kafka_to_a_stored_lora(
    platform: Platform, steps: TrainingSteps, trainer: Provider
) -> None:
    await platform.behave(trainer, latency_seconds=2.0)
    request = {
        "type": "lora_training",
        "character_id": steps.character_id,
        "images": steps.images,
        "captions": CAPTIONS,
        "trigger_word": "mara7",
        "steps": 1200,
        "provider": trainer,
    }
    job_id = steps.jobs[trainer] = await platform.publish(request)
    (end,) = await platform.ended(job_id)
    assert (end.event, end.delivered, end.type) == ("completed", 1, "lora_training"), end.error
    ready = await platform.received(job_id, "image_ready")
    assert ready.image is not None
    assert ready.image.lora is not None
    lora = steps.loras[trainer] = ready.image.lora
    assert lora.key == f"{TENANT}/{job_id}/0/{lora.sha256}.safetensors"
    assert (lora.trigger_word, lora.base_model, lora.steps, lora.provider) == (
        "mara7",
        "black-forest-labs/FLUX.1-dev",
        1200,
        trainer,
    )
    told = {each.percent for event in platform.events[job_id] for each in event.progress}
    assert any(percent and 0 < percent < 100 for percent in told), "percent is told while it trains"
    assert end.cost is not None
    assert end.cost.usd > 1
    await platform.behave(trainer, latency_seconds=0.3)


@pytest.mark.parametrize("trainer", TRAINERS)
async def test_the_stored_weights_and_manifest_match_their_announcement(
    platform: Platform, steps: TrainingSteps, trainer: Provider
) -> None:
    lora = steps.loras[trainer]
    results = (await platform.get(f"/v1/jobs/{steps.jobs[trainer]}/results")).json()
    [found] = results["loras"]
    assert (found["key"], found["sha256"], found["bytes"]) == (lora.key, lora.sha256, lora.bytes)
    weights = await read(found["url"])
    assert (len(weights), hashlib.sha256(weights).hexdigest()) == (lora.bytes, lora.sha256)
    manifest = LoraManifest.model_validate_json(await read(found["manifest_url"]))
    assert (manifest.key, manifest.sha256, manifest.provider) == (lora.key, lora.sha256, trainer)
    assert list(manifest.training_images) == steps.images
    assert list(manifest.captions) == CAPTIONS


async def test_fal_receives_an_archive_of_the_stored_images_with_captions(
    platform: Platform, steps: TrainingSteps
) -> None:
    [entry] = await submissions_of_job(platform, "fal", steps.jobs["fal"])
    assert (entry["input"]["trigger_word"], entry["input"]["steps"]) == ("mara7", 1200)
    archive = zipfile.ZipFile(io.BytesIO(await read(entry["input"]["images_data_url"])))
    assert archive.namelist() == [f"00{n}.{kind}" for n in range(4) for kind in ("png", "txt")]
    texts = [archive.read(f"00{number}.txt").decode() for number in range(4)]
    assert texts == ["mara7, front view", "mara7, left profile", "mara7", "mara7 laughing"]
    results = (await platform.get(f"/v1/jobs/{steps.images[0].partition('/')[0]}/results")).json()
    hashes = {image["sha256"] for image in results["images"]}
    assert {hashlib.sha256(archive.read(f"00{n}.png")).hexdigest() for n in range(4)} == hashes


async def test_modal_receives_signed_links_with_captions(platform: Platform, steps: TrainingSteps) -> None:
    [entry] = await submissions_of_job(platform, "modal", steps.jobs["modal"])
    asked = entry["input"]["input"]
    assert entry["input"]["kind"] == "lora_training"
    assert [image["caption"] for image in asked["images"]] == [
        "mara7, front view",
        "mara7, left profile",
        "",
        "mara7 laughing",
    ]
    for image in asked["images"]:
        assert (await read(image["url"])).startswith(b"\x89PNG")


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("trainer", TRAINERS)
async def test_a_lora_of_each_trainer_draws_at_every_provider(
    platform: Platform, steps: TrainingSteps, trainer: Provider, provider: Provider
) -> None:
    lora = steps.loras[trainer]
    known = {"key": lora.key, "trigger_word": lora.trigger_word, "scale": 0.8}
    character = CHARACTER | {"lora": known}
    job_id = await platform.publish({"type": "studio", "character": character, "provider": provider})
    (end,) = await platform.ended(job_id)
    assert (end.event, end.delivered) == ("completed", 1), end.error
    [entry] = await submissions_of_job(platform, provider, job_id)
    assert entry["prompt"].startswith("mara7")
    match provider:
        case "fal":
            [given] = entry["input"]["loras"]
            assert hashlib.sha256(await read(given["path"])).hexdigest() == lora.sha256
        case "modal":
            given = entry["input"]["input"]["lora"]
            assert hashlib.sha256(await read(given["url"])).hexdigest() == lora.sha256
        case "comfyui":
            assert entry["input"]["8"]["inputs"]["lora_name"] == f"{lora.sha256}.safetensors"


async def test_a_lora_without_a_requested_provider_follows_the_policy(
    platform: Platform, steps: TrainingSteps
) -> None:
    character = CHARACTER | {"lora": {"key": steps.loras["fal"].key, "trigger_word": "mara7"}}
    job_id = await platform.publish({"type": "studio", "character": character})
    await platform.ended(job_id)
    ready = await platform.received(job_id, "image_ready")
    assert ready.image is not None
    assert ready.image.stored is not None
    assert ready.image.stored.provider == "modal"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_another_tenants_lora_cannot_be_used(
    platform: Platform, steps: TrainingSteps, provider: Provider
) -> None:
    key = steps.loras["fal"].key.replace(TENANT, "other", 1)
    character = CHARACTER | {"lora": {"key": key, "trigger_word": "mara7"}}
    request = {"type": "studio", "character": character, "provider": provider}
    (end,) = await platform.ended(await platform.publish(request))
    assert end.error is not None
    assert (end.error.code, end.error.reasons[0].field) == ("rejected", "request.character.lora.key")


async def test_a_posted_training_is_accepted_and_can_be_cancelled(
    platform: Platform, steps: TrainingSteps
) -> None:
    await platform.behave("fal", latency_seconds=30)
    body = {"character_id": steps.character_id, "images": steps.images, "trigger_word": "mara7"}
    answer = await platform.post("/v1/lora-trainings", body)
    assert answer.status_code == 202
    job_id = answer.json()["id"]
    await platform.received(job_id, "started")
    assert (await platform.post(f"/v1/jobs/{job_id}/cancel", {})).status_code == 202
    (end,) = await platform.ended(job_id)
    assert end.error is not None
    assert end.error.code == "cancelled"
    await platform.behave("fal", latency_seconds=0.3)


async def test_the_submission_logs_agree_with_the_ledger(platform: Platform) -> None:
    ledger = await platform.ledger()
    for provider in PROVIDERS:
        sent = [entry for entry in ledger if entry["provider"] == provider and entry["submissions"]]
        ours = {entry["external_id"] for entry in sent}
        submission_log = await platform.submissions(provider)
        assert {entry["id"] for entry in submission_log} == ours
        assert len(submission_log) == len(ours)
    intents = {str(uuid5(NAMESPACE_URL, f"imagegen:{entry['_id']}")) for entry in ledger}
    for provider in ("modal", "comfyui"):
        assert {entry["our_id"] for entry in await platform.submissions(provider)} <= intents
    assert {entry["billed"] for entry in ledger if entry["state"] == "succeeded"} == {"yes"}
