"""An image that is requested during its character's training is drawn with the LoRA."""

import asyncio
import signal
from typing import Any

import pytest
from pydantic import SecretStr

from contracts.jobs import Job
from shared import mongo
from shared.settings import MongoSettings
from tests.e2e.platform import CHARACTER, Platform

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


async def begin_a_chain(platform: Platform) -> str:
    """Begin a sheet with a training; return the id of the character."""
    base = await platform.publish({"type": "base_image", "character": CHARACTER})
    (end,) = await platform.ended(base)
    assert end.event == "completed", end.error
    body = {"character": CHARACTER, "base_image_id": f"{base}/0", "then": [{"type": "lora_training"}]}
    chain = (await platform.post("/v1/character-sheets", body)).json()["id"]
    async with asyncio.timeout(30):
        while (await platform.get(f"/v1/characters/{chain}")).status_code != 200:
            await asyncio.sleep(0.05)
    return str(chain)


async def ask_for_pictures(platform: Platform, character_id: str, **wishes: Any) -> str:
    studio = {"character_id": character_id, "scene": "beach", "count": 2, "wait_for_lora": True}
    answer = await platform.post("/v1/studio", studio | wishes)
    assert answer.status_code == 202, answer.text
    job_id = str(answer.json()["id"])
    accepted = await platform.received(job_id, "accepted", "failed")
    assert (accepted.event, accepted.phase) == ("accepted", "waiting_for_lora")
    view = (await platform.get(f"/v1/jobs/{job_id}")).json()
    assert (view["status"], view["phase"], view["attempts"]) == ("pending", "waiting_for_lora", 0)
    return job_id


async def check_that_it_was_drawn_with_the_lora(platform: Platform, job_id: str, character_id: str) -> None:
    (end,) = await platform.ended(job_id, seconds=120)
    assert (end.event, end.delivered, end.character_id) == ("completed", 2, character_id), end.error
    character = (await platform.get(f"/v1/characters/{character_id}")).json()["character"]
    settings = MongoSettings(url=SecretStr(platform.stack.environment["MONGO_URL"]))
    async with mongo.connect(settings) as database:
        job = Job.model_validate(await database["jobs"].find_one({"_id": job_id}))
    for render in job.renders:
        assert render.spec.lora is not None
        assert render.spec.lora.key == character["lora"]["key"]
        assert render.spec.lora.trigger_word == character["trigger_word"]
        assert render.spec.prompt.startswith(f"{character['trigger_word']}, ")
    numbered = [event.seq for event in job.events]
    assert numbered == list(range(1, job.seq + 1))


async def test_images_wait_for_the_lora_and_are_drawn_with_it(platform: Platform) -> None:
    await platform.behave("fal", latency_seconds=3.0)
    character_id = await begin_a_chain(platform)
    jobs = [await ask_for_pictures(platform, character_id, mode=mode) for mode in ("auto", "lora")]
    await platform.behave("fal", latency_seconds=0.3)
    for job_id in jobs:
        await check_that_it_was_drawn_with_the_lora(platform, job_id, character_id)


async def test_waiting_images_are_drawn_although_processes_are_killed(platform: Platform) -> None:
    await platform.behave("fal", latency_seconds=3.0)
    character_id = await begin_a_chain(platform)
    job_id = await ask_for_pictures(platform, character_id)
    for service in ("dispatcher", "characters"):
        await platform.stack.kill(service, signal.SIGKILL)
    await platform.behave("fal", latency_seconds=0.3)
    await check_that_it_was_drawn_with_the_lora(platform, job_id, character_id)


async def test_waiting_images_can_be_cancelled(
    platform: Platform,
) -> None:
    await platform.behave("fal", latency_seconds=30.0)
    character_id = await begin_a_chain(platform)
    job_id = await ask_for_pictures(platform, character_id)
    assert (await platform.post(f"/v1/jobs/{job_id}/cancel", {})).status_code in (200, 202)
    (end,) = await platform.ended(job_id)
    assert end.error is not None
    assert end.error.code == "cancelled"
    await platform.post(f"/v1/chains/{character_id}/cancel", {})
    await platform.behave("fal", latency_seconds=0.3)
