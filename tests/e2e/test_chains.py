"""A chosen base image leads to its sheet, LoRA and images: each once, whichever process is killed."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial

import pytest
import pytest_asyncio
from pydantic import SecretStr

from contracts.base import PROVIDERS, Message, key_of, topic_of
from contracts.chains import BaseImageSelected, Chain, ChainCancel, ChainResume
from contracts.generation import GenerationRequested
from contracts.requests import CharacterSheetRequest, StudioFollowUp, TrainingFollowUp
from deploy.local.services import SERVICES
from shared import mongo
from shared.ids import uuid7
from shared.mongo import Database
from shared.settings import MongoSettings
from tests.e2e.platform import CHARACTER, TENANT, USER, Platform

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

KILLED_DURING = {
    0: ("prompt_builder", "dispatcher", "gateways.comfyui"),
    1: ("characters", "result_store", "gateways.fal"),
    2: ("notifier", "api", "gateways.modal"),
}
"""Processes to kill during each step: the sheet at ComfyUI, the training at Fal, images at Modal."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(platform: Platform) -> AsyncIterator[Database]:
    settings = MongoSettings(url=SecretStr(platform.stack.environment["MONGO_URL"]))
    async with mongo.connect(settings) as database:
        yield database


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def face(platform: Platform) -> str:
    """Return a base image that can be chosen."""
    job_id = await platform.publish({"type": "base_image", "character": CHARACTER, "count": 1})
    (end,) = await platform.ended(job_id)
    assert end.event == "completed", end.error
    return f"{job_id}/0"


async def publish(platform: Platform, message: Message) -> None:
    """Publish a message as an upstream service does."""
    await platform.publish_raw(
        message.model_dump_json().encode(), key=key_of(message), topic=topic_of(message)
    )


async def take_their_time(platform: Platform, seconds: float) -> None:
    for provider in PROVIDERS:
        await platform.behave(provider, latency_seconds=seconds, tiny=True)


async def chain_when(database: Database, chain_id: str, holds: Callable[[Chain], bool]) -> Chain:
    """Return the chain's document once the condition holds."""
    async with asyncio.timeout(180):
        while True:
            found = await database["chains"].find_one({"_id": chain_id})
            if found and (chain := Chain.model_validate(found)).steps and holds(chain):
                return chain
            await asyncio.sleep(0.05)


def has_begun(place: int, chain: Chain) -> bool:
    return bool(chain.steps[place].tries)


async def check_one_job_per_step(database: Database, chain: Chain) -> None:
    asked = [[attempt.job_id for attempt in step.tries] for step in chain.steps]
    assert [len(jobs) for jobs in asked] == [1] * len(chain.steps)
    stored = await database["jobs"].find({"chain_id": chain.chain_id}, {"status": 1}).to_list(None)
    assert sorted(job["_id"] for job in stored) == sorted(job for jobs in asked for job in jobs)
    assert {job["status"] for job in stored} == {"completed"}


@pytest.mark.timeout(400)
async def test_a_chain_begun_over_http_completes_although_every_service_is_killed(
    platform: Platform, database: Database, face: str
) -> None:
    assert sorted(SERVICES) == sorted(name for names in KILLED_DURING.values() for name in names)
    await take_their_time(platform, 2.0)
    then = [{"type": "lora_training"}, {"type": "studio", "scene": "beach", "mode": "lora"}]
    path = f"/v1/characters/{uuid7()}/base-image"
    answer = await platform.post(path, {"base_image_id": face, "then": then})
    assert answer.status_code == 202, answer.text
    chain_id = answer.json()["id"]
    for place, names in KILLED_DURING.items():
        chain = await chain_when(database, chain_id, partial(has_begun, place))
        await platform.received(chain.steps[place].tries[0].job_id, "started")
        for name in names:
            await platform.stack.kill(name, signal.SIGKILL)
        chain = await chain_when(database, chain_id, lambda _: True)
        assert (chain.state, chain.steps[place].state) == ("running", "running"), "killed in the middle"
    chain = await chain_when(database, chain_id, lambda chain: chain.state != "running")
    assert chain.state == "completed", [step.error for step in chain.steps]
    await check_one_job_per_step(database, chain)
    await platform.stack.wait_ready("api")
    character = (await platform.get(f"/v1/characters/{chain.character_id}")).json()
    assert (character["lora_state"], len(character["sheet"]["images"])) == ("ready", 7)
    picture = await platform.received(chain.steps[2].tries[0].job_id, "image_ready")
    assert picture.image is not None
    assert picture.image.stored is not None
    assert picture.image.stored.prompt.startswith(character["character"]["trigger_word"])


async def test_a_chain_begun_over_kafka_is_cancelled_and_resumed(
    platform: Platform, database: Database, face: str
) -> None:
    await take_their_time(platform, 30.0)
    chosen = BaseImageSelected(
        character_id=uuid7(),
        tenant=TENANT,
        user_id=USER,
        base_image_id=face,
        then=(TrainingFollowUp(), StudioFollowUp()),
        selected_at=datetime.now(UTC),
    )
    await publish(platform, chosen)
    await platform.received(chosen.chain_id, "started")
    about = {"chain_id": chosen.chain_id, "tenant": TENANT}
    await publish(platform, ChainCancel.model_validate(about | {"requested_at": datetime.now(UTC)}))
    (end,) = await platform.ended(chosen.chain_id)
    assert end.error is not None
    assert end.error.code == "cancelled"
    view = (await platform.get(f"/v1/chains/{chosen.chain_id}")).json()
    assert (view["state"], [step["state"] for step in view["steps"]]) == (
        "cancelled",
        ["cancelled", "waiting", "waiting"],
    )
    await take_their_time(platform, 0.2)
    await publish(platform, ChainResume.model_validate(about | {"requested_at": datetime.now(UTC)}))
    chain = await chain_when(database, chosen.chain_id, lambda chain: chain.state in ("completed", "failed"))
    assert chain.state == "completed", [step.error for step in chain.steps]
    assert [[attempt.state for attempt in step.tries] for step in chain.steps] == [
        ["cancelled", "completed"],
        ["completed"],
        ["completed"],
    ]
    assert len(chain.steps[0].images) == 7


async def test_a_chain_under_a_used_job_id_fails_with_that_reason(
    platform: Platform, database: Database, face: str
) -> None:
    taken = face.partition("/")[0]
    character = {"character": CHARACTER, "base_image_id": face}
    request = GenerationRequested(
        job_id=taken,
        tenant=TENANT,
        user_id=USER,
        request=CharacterSheetRequest.model_validate(character),
        then=(TrainingFollowUp(),),
    )
    await publish(platform, request)
    chain = await chain_when(database, taken, lambda chain: chain.state != "running")
    error = chain.steps[0].error
    assert error is not None
    assert (chain.state, error.code) == ("failed", "job_id_conflict")
