"""A request over Kafka or HTTP leads to stored, announced images."""

import asyncio
import hashlib
import io
import json
from typing import Any

import httpx
import pytest
from PIL import Image

from contracts.jobs import JobEvent
from shared.ids import uuid7
from tests.e2e.platform import CHARACTER, IDENTITY, Platform

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


async def a_base_image(platform: Platform) -> str:
    """Return the asset id of a finished base image."""
    job_id = await platform.publish({"type": "base_image", "character": CHARACTER})
    (end,) = await platform.ended(job_id)
    assert end.event == "completed", end.error
    return f"{job_id}/0"


async def test_all_four_types_go_from_kafka_to_stored_images(platform: Platform) -> None:
    base = await a_base_image(platform)
    character = CHARACTER | {"base_image_id": base}
    jobs = [
        await platform.publish({"type": "character_sheet", "character": character, "base_image_id": base}),
        await platform.publish({"type": "studio", "character": character, "scene": "beach", "count": 4}),
        await platform.publish(
            {"type": "profile_pictures", "character": character, "set_id": "professional"}
        ),
    ]
    ends = await platform.ended(*jobs)
    assert [(end.event, end.delivered == end.requested) for end in ends] == [("completed", True)] * 3
    assert ends[0].delivered == 7
    assert ends[1].delivered == 4


async def test_events_of_a_job_are_numbered_without_gaps(platform: Platform) -> None:
    job_id = await platform.publish({"type": "base_image", "character": CHARACTER})
    await platform.ended(job_id)
    numbered = [event for event in platform.events[job_id] if event.event != "progressed"]
    assert [event.seq for event in numbered] == list(range(1, 7))
    assert [event.event for event in numbered] == [
        "accepted",
        "started",
        *["image_ready"] * 3,
        "completed",
    ]


async def test_a_stored_image_matches_its_record_and_has_no_metadata(platform: Platform) -> None:
    job_id = await platform.publish({"type": "base_image", "character": CHARACTER, "provider": "comfyui"})
    await platform.ended(job_id)
    results = (await platform.get(f"/v1/jobs/{job_id}/results")).json()
    assert len(results["images"]) == 3
    async with httpx.AsyncClient() as anyone:
        for image in results["images"]:
            data = (await anyone.get(image["url"])).content
            assert hashlib.sha256(data).hexdigest() == image["sha256"]
            picture = Image.open(io.BytesIO(data))
            assert picture.size == (image["width"], image["height"])
            assert picture.info.keys().isdisjoint({"prompt", "workflow"})
            assert image["provider"] == "comfyui"


async def test_a_completed_job_has_previews_and_placeholders(platform: Platform) -> None:
    job_id = await platform.publish({"type": "base_image", "character": CHARACTER})
    await platform.ended(job_id)
    images = (await platform.get(f"/v1/jobs/{job_id}/results")).json()["images"]
    assert all(image["preview_url"] and image["placeholder"] for image in images)
    async with httpx.AsyncClient() as anyone:
        preview = Image.open(io.BytesIO((await anyone.get(images[0]["preview_url"])).content))
    assert preview.format == "WEBP"
    assert max(preview.size) <= 512


async def test_a_repeated_request_changes_nothing(platform: Platform) -> None:
    request = {"type": "base_image", "character": CHARACTER, "provider": "modal"}
    job_id = await platform.publish(request)
    (end,) = await platform.ended(job_id)
    before = len(await platform.submissions("modal"))
    await platform.publish(request, job_id=job_id)
    marker = await platform.publish({"type": "studio", "character": CHARACTER, "provider": "modal"})
    await platform.ended(marker)
    assert len(await platform.submissions("modal")) == before + 1
    assert [event.seq for event in platform.events[job_id] if event.event == "completed"] == [end.seq]


async def test_another_request_under_the_same_job_id_becomes_a_dead_letter(platform: Platform) -> None:
    job_id = await platform.publish({"type": "base_image", "character": CHARACTER})
    await platform.ended(job_id)
    count = len(platform.dead_letters)
    await platform.publish({"type": "base_image", "character": CHARACTER, "count": 1}, job_id=job_id)
    dead_letters = await platform.dead_lettered(count + 1)
    assert dead_letters[-1].reason == "job_id_conflict"
    assert (await platform.get(f"/v1/jobs/{job_id}")).json()["delivered"] == 3


BAD_REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("request.count", {"type": "studio", "character": CHARACTER, "count": 11}),
    ("request.type", {"type": "hologram"}),
    ("request.prompt", {"type": "studio", "character": CHARACTER, "prompt": "x" * 1_000_000}),
    ("request.prompt", {"type": "studio", "character": CHARACTER, "prompt": "a\0b"}),
    ("request.seed", {"type": "studio", "character": CHARACTER, "seed": "red"}),
    ("request.character.age", {"type": "studio", "character": CHARACTER | {"age": "sixteen"}}),
    ("request.set_id", {"type": "profile_pictures", "character": CHARACTER, "set_id": "none"}),
]


async def test_invalid_requests_are_rejected_by_field_and_valid_ones_beside_them_complete(
    platform: Platform,
) -> None:
    bad = [(field, await platform.publish(request)) for field, request in BAD_REQUESTS]
    good = await platform.publish({"type": "base_image", "character": CHARACTER})
    for field, job_id in bad:
        (end,) = await platform.ended(job_id)
        assert end.error, field
        assert end.error.code == "rejected"
        assert [reason.field for reason in end.error.reasons] == [field]
        assert len(end.error.message) < 500
    assert (await platform.ended(good))[0].event == "completed"


async def test_unreadable_records_become_dead_letters_with_their_reason(platform: Platform) -> None:
    count = len(platform.dead_letters)
    await platform.publish_raw(b"\xff\xfe", key="one")
    await platform.publish_raw(b"[1, 2]", key="two")
    await platform.publish_raw(b"{}", key="three", ce_type="something.else.v1")
    dead_letters = (await platform.dead_lettered(count + 3))[count:]
    reasons = {letter.original_key: letter.reason for letter in dead_letters}
    assert reasons == {"one": "not_json", "two": "invalid", "three": "wrong_type"}


async def test_a_job_can_be_posted_listed_and_read(platform: Platform) -> None:
    key = {"Idempotency-Key": uuid7()}
    body = {"character": CHARACTER, "count": 2}
    first = await platform.post("/v1/base-images", body, **key)
    again = await platform.post("/v1/base-images", body, **key)
    other = await platform.post("/v1/base-images", body | {"count": 1}, **key)
    assert (first.status_code, again.status_code, other.status_code) == (202, 202, 409)
    assert first.json()["id"] == again.json()["id"]
    job_id = first.json()["id"]
    assert (await platform.ended(job_id))[0].delivered == 2
    listed = (await platform.get("/v1/jobs?limit=5")).json()["jobs"]
    assert job_id in [job["id"] for job in listed]


async def test_a_cancelled_job_ends_once_and_stops_at_its_provider(platform: Platform) -> None:
    request = {"type": "base_image", "character": CHARACTER, "provider": "modal", "prompt": "sim-slow sea"}
    job_id = await platform.publish(request)
    await platform.received(job_id, "started")
    answer = await platform.post(f"/v1/jobs/{job_id}/cancel", {})
    assert answer.status_code == 202
    (end,) = await platform.ended(job_id)
    assert end.error
    assert end.error.code == "cancelled"
    async with asyncio.timeout(15):
        while True:
            ours = [s for s in await platform.submissions("modal") if "sea" in s["prompt"]]
            if ours and {s["state"] for s in ours} == {"cancelled"}:
                break
            await asyncio.sleep(0.2)


async def test_a_job_whose_provider_fails_is_retried_and_then_fails_with_the_reason(
    platform: Platform,
) -> None:
    request = {"type": "studio", "character": CHARACTER, "provider": "comfyui", "prompt": "sim-fail storm"}
    (end,) = await platform.ended(await platform.publish(request))
    assert end.error
    assert end.error.code == "provider_failed"


async def test_server_sent_events_of_a_job_resume_after_the_last_event_id(platform: Platform) -> None:
    job_id = await platform.publish({"type": "base_image", "character": CHARACTER})
    await platform.ended(job_id)
    url = f"{platform.stack.notifier_url}/v1/jobs/{job_id}/events"
    async with httpx.AsyncClient(timeout=10) as user:
        everything = (await user.get(url, headers=IDENTITY)).text
        rest = (await user.get(url, headers=IDENTITY | {"Last-Event-ID": "4"})).text
    assert ids_of(everything) == ["1", "2", "3", "4", "5", "6"]
    assert ids_of(rest) == ["5", "6"]


def ids_of(stream: str) -> list[str]:
    return [line.removeprefix("id:").strip() for line in stream.splitlines() if line.startswith("id:")]


async def test_an_accepted_request_can_be_followed_at_once_and_an_unknown_job_is_404(
    platform: Platform,
) -> None:
    async with httpx.AsyncClient(timeout=30, base_url=platform.stack.notifier_url, headers=IDENTITY) as user:
        for _ in range(5):
            answer = await platform.post("/v1/base-images", {"character": CHARACTER, "count": 1})
            stream = await user.get(f"/v1/jobs/{answer.json()['id']}/events")
            assert (stream.status_code, ids_of(stream.text)) == (200, ["1", "2", "3", "4"])
        unknown = await user.get(f"/v1/jobs/{uuid7()}/events")
    assert (unknown.status_code, unknown.headers["content-type"]) == (404, "application/problem+json")


async def test_a_webhook_gets_every_numbered_event_in_order_with_credentials_and_links(
    platform: Platform,
) -> None:
    got: list[dict[str, Any]] = []

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split()[0])
        got.append(json.loads(await reader.readexactly(length)))
        assert "webhook-signature:" in head
        assert "authorization: basic dxmgzxi6cebzcw==" in head, "sent by the name and password of its address"
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(receive, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        body = {
            "character": CHARACTER,
            "notify": {"webhook_url": f"http://us%20er:p%40ss@127.0.0.1:{port}/hook"},
        }
        job_id = (await platform.post("/v1/base-images", body)).json()["id"]
        await platform.ended(job_id)
        async with asyncio.timeout(20):
            while not any(event["event"] == "completed" for event in got):
                await asyncio.sleep(0.1)
    assert [event["seq"] for event in got] == [1, 2, 3, 4, 5, 6]
    assert {JobEvent.model_validate(event).job_id for event in got} == {job_id}
    links = [event["links"]["url"] for event in got if event["event"] == "image_ready"]
    async with httpx.AsyncClient(timeout=10, headers=IDENTITY) as user:
        images = [await user.get(link) for link in links]
        shown = [
            (await user.get(f"{url}{path}")).text
            for url, path in (
                (platform.stack.api_url, f"/v1/jobs/{job_id}"),
                (platform.stack.notifier_url, f"/v1/jobs/{job_id}/events"),
                (platform.stack.notifier_url, f"/v1/webhooks/deliveries?job_id={job_id}"),
                (platform.stack.notifier_url, "/v1/webhooks/endpoints"),
            )
        ]
    assert [image.headers["content-type"] for image in images] == ["image/png"] * 3
    logs = "".join(
        log.read_text(errors="replace") for log in (platform.stack.options.state / "logs").glob("*.log")
    )
    assert job_id in logs
    assert not [secret for secret in ("p%40ss", "p@ss") if secret in "".join([*shown, logs])]
