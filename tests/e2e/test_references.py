"""Requests can refer to accepted requests at once, in any order, over HTTP and Kafka."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from contracts.base import Message, key_of, topic_of
from contracts.chains import BaseImageSelected
from contracts.characters import Character, CharacterCreated
from contracts.jobs import JobEvent
from imagegen_client import Client
from shared.ids import uuid7
from tests.e2e.platform import CHARACTER, TENANT, USER, Platform

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

ROUNDS = 30
IDA = {"name": "Ida", "age": 41}
OTHER = {"X-Tenant-Id": "other", "X-User-Id": "ida"}


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


async def phase_of(platform: Platform, job_id: str, wanted: str) -> dict[str, Any]:
    """Return the job as the API shows it, once it is in this phase."""
    async with asyncio.timeout(20):
        while True:
            answer = await platform.get(f"/v1/jobs/{job_id}")
            if answer.status_code == 200 and answer.json()["phase"] == wanted:
                view: dict[str, Any] = answer.json()
                return view
            await asyncio.sleep(0.05)


async def first_event(platform: Platform, job_id: str) -> tuple[str | None, JobEvent]:
    """Return the id and content of the first event in a new stream of the job."""
    async with Client(notifier_url=platform.stack.notifier_url, tenant=TENANT, user=USER) as client:
        stream = client.job_events(job_id)
        async with aclosing(stream.read()) as events:
            event = await anext(events)
    return stream.last_event_id, event


@pytest.mark.timeout(300)
async def test_a_base_image_is_chosen_and_drawn_at_the_same_moment_thirty_times(
    platform: Platform, face: str
) -> None:
    async def round_(place: int) -> httpx.Response:
        character_id = f"auth0|{uuid7()}"
        path = f"/v1/characters/{quote(character_id, safe='')}"
        then = [{"type": "studio", "count": 1}]
        chosen = await platform.post(f"{path}/base-image", {"base_image_id": face, "then": then})
        assert chosen.status_code == 202, chosen.text
        asked = {"character_id": character_id, "wait_for_lora": True, "scene": f"beach {place}"}
        answer = await platform.post("/v1/studio", asked)
        view = await platform.get(path)
        assert (view.status_code, view.json()["id"]) == (200, character_id), view.text
        assert view.json()["state"] in ("pending", "stored")
        assert answer.status_code == 202, answer.text
        return answer

    answers = [await round_(place) for place in range(ROUNDS)]
    for answer in answers:
        view = await phase_of(platform, answer.json()["id"], "waiting_for_lora")
        assert view["error"] is None
    for answer in answers:
        await platform.post(f"/v1/jobs/{answer.json()['id']}/cancel", {})


async def test_an_image_may_be_requested_over_kafka_before_its_base_image_is_chosen(
    platform: Platform, face: str
) -> None:
    character_id = f"char-{uuid7()}"
    job_id = await platform.publish({"type": "studio", "character_id": character_id, "scene": "beach"})
    waiting = await phase_of(platform, job_id, "waiting_for_character")
    assert (waiting["status"], waiting["error"], waiting["requested"]) == ("pending", None, 1)
    event_id, event = await first_event(platform, job_id)
    assert (event_id, event.event, event.phase) == ("1", "accepted", "waiting_for_character")
    about = {"character_id": character_id, "tenant": TENANT, "user_id": USER}
    chosen = {"base_image_id": face, "then": [{"type": "studio"}], "selected_at": datetime.now(UTC)}
    await publish(platform, BaseImageSelected.model_validate(about | chosen))
    (end,) = await platform.ended(job_id)
    assert (end.event, end.delivered, end.character_id) == ("completed", 1, character_id)
    numbers = [event.seq for event in platform.events[job_id] if event.event != "progressed"]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_over_kafka_a_base_image_may_be_selected_before_it_is_drawn(platform: Platform) -> None:
    character_id = f"char-{uuid7()}"
    drawing = await platform.publish({"type": "base_image", "character": CHARACTER, "count": 1})
    about = {"character_id": character_id, "tenant": TENANT, "user_id": USER}
    selected = {"base_image_id": f"{drawing}/0", "then": [{"type": "studio"}]}
    await publish(platform, BaseImageSelected.model_validate(about | selected))
    studio = await platform.publish({"type": "studio", "character_id": character_id, "mode": "face_swap"})
    drawn, end = await platform.ended(drawing, studio)
    assert (drawn.event, end.event, end.delivered) == ("completed", "completed", 1)
    view = await platform.get(f"/v1/characters/{character_id}")
    assert view.json()["character"]["base_image_id"] == f"{drawing}/0"


async def test_over_http_an_image_of_an_accepted_job_is_selected_and_drawn(platform: Platform) -> None:
    accepted = await platform.post("/v1/base-images", {"character": CHARACTER, "count": 1})
    drawing, character_id = accepted.json()["id"], f"char-{uuid7()}"
    body = {"base_image_id": f"{drawing}/0", "then": [{"type": "studio"}]}
    selected = await platform.post(f"/v1/characters/{character_id}/base-image", body)
    assert selected.status_code == 202, selected.text
    studio = await platform.post("/v1/studio", {"character_id": character_id, "mode": "face_swap"})
    assert studio.status_code == 202, studio.text
    (end,) = await platform.ended(studio.json()["id"])
    assert (end.event, end.delivered) == ("completed", 1), end.error


@pytest.mark.timeout(180)
async def test_a_selection_from_a_job_that_never_comes_ends_with_the_reason(platform: Platform) -> None:
    missing, about = uuid7(), {"tenant": TENANT, "user_id": USER, "selected_at": datetime.now(UTC)}
    image = {"character_id": f"char-{uuid7()}", "base_image_id": f"{missing}/0"}
    selection = BaseImageSelected.model_validate(about | image)
    await publish(platform, selection)
    (end,) = await platform.ended(selection.chain_id, seconds=120)
    assert end.error is not None
    assert end.error.message == f"base_image_id: job {missing} is not known after 60 s"


async def test_images_may_be_requested_over_kafka_before_their_character_is_created(
    platform: Platform,
) -> None:
    character_id = f"char-{uuid7()}"
    drawn, cancelled = [
        await platform.publish({"type": "studio", "character_id": character_id}) for _ in range(2)
    ]
    await phase_of(platform, cancelled, "waiting_for_character")
    assert (await platform.post(f"/v1/jobs/{cancelled}/cancel", {})).status_code == 202
    (end,) = await platform.ended(cancelled)
    assert end.error is not None
    assert end.error.code == "cancelled"
    created = {"character_id": character_id, "tenant": TENANT, "user_id": USER, "character": CHARACTER}
    await publish(platform, CharacterCreated.model_validate(created | {"created_at": datetime.now(UTC)}))
    (end,) = await platform.ended(drawn)
    assert end.event == "completed", end.error


async def test_a_created_character_is_drawn_at_once_and_only_for_its_tenant(platform: Platform) -> None:
    character_id = f"char-{uuid7()}"
    body = {"id": character_id, "character": CHARACTER}
    theirs = {"id": character_id, "character": IDA}
    assert (await platform.post("/v1/characters", body)).status_code == 202
    answer = await platform.post("/v1/studio", {"character_id": character_id})
    assert answer.status_code == 202, answer.text
    unseen = await platform.http.get(f"/v1/characters/{character_id}", headers=OTHER)
    assert unseen.status_code == 404
    assert (await platform.http.post("/v1/characters", json=theirs, headers=OTHER)).status_code == 202
    faces = await platform.post("/v1/base-images", {"character_id": character_id, "count": 1})
    (end, base) = await platform.ended(answer.json()["id"], faces.json()["id"])
    assert (end.event, base.event) == ("completed", "completed")
    view = (await platform.get(f"/v1/characters/{character_id}")).json()
    assert (view["state"], view["character"]["name"]) == ("stored", Character.model_validate(CHARACTER).name)


async def test_a_request_over_kafka_waits_a_minute_for_its_character(platform: Platform) -> None:
    job_id = await platform.publish({"type": "studio", "character_id": "char-nobody"})
    await phase_of(platform, job_id, "waiting_for_character")
    (end,) = await platform.ended(job_id, seconds=90)
    assert end.error is not None
    assert (end.error.code, end.error.message) == (
        "rejected",
        "request.character_id: character char-nobody does not exist",
    )
    assert 60 <= end.elapsed_seconds < 75


async def test_an_unknown_character_is_refused_over_http_at_once(platform: Platform) -> None:
    answer = await platform.post("/v1/studio", {"character_id": "char-nobody"})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": "character_id", "message": "character char-nobody does not exist"}
    ]
