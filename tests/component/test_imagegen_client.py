"""The public client against the real API and notifier, which run in this process."""

import re
from collections.abc import Coroutine
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from imagegen_client import Client, RequestRejected
from imagegen_client.models import (
    BaseImageSelection,
    BaseImageSubmission,
    Character,
    CharacterCreation,
    CharacterSheetSubmission,
    EnableEndpoint,
    LoraTrainingSubmission,
    ProfilePicturesSubmission,
    ReplayWebhooks,
    StudioSubmission,
)
from tests.fakes.api import ApiHarness
from tests.fakes.jobs import a_story, job_of
from tests.fakes.notifier import NotifierHarness

ID = "0193f2a0-0000-7000-8000-000000000001"
MARA = Character(name="Mara", age=27)
IMAGES = tuple(f"{ID}/{index}" for index in range(4))
STORY = a_story("accepted", "started", "image_ready", "completed")


class Hosts(httpx.AsyncBaseTransport):
    """Sends a request to the application that has its host's name."""

    def __init__(self, **applications: FastAPI) -> None:
        self._applications = {name: httpx.ASGITransport(app) for name, app in applications.items()}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._applications[request.url.host].handle_async_request(request)


def client_of(transport: httpx.AsyncBaseTransport) -> Client:
    return Client(
        api_url="http://api",
        notifier_url="http://notifier",
        tenant="acme",
        user="ann",
        patience_seconds=0.0,
        transport=transport,
    )


def operations_of(client: Client) -> list[Coroutine[Any, Any, Any]]:
    """Return one call of each operation."""
    submissions = (
        BaseImageSubmission(character=MARA),
        CharacterSheetSubmission(character=MARA, base_image_id=IMAGES[0]),
        StudioSubmission(character=MARA),
        ProfilePicturesSubmission(character=MARA, set_id="classic"),
        LoraTrainingSubmission(character_id=ID, images=IMAGES, trigger_word="qdvhzmwn"),
    )
    return [
        *(client.submit(submission) for submission in submissions),
        client.job(ID),
        client.jobs(),
        client.results(ID),
        client.cancel(ID),
        client.create_character(CharacterCreation(character=MARA)),
        client.character(ID),
        client.characters(),
        client.select_base_image(ID, BaseImageSelection(base_image_id=IMAGES[0])),
        client.chain(ID),
        client.cancel_chain(ID),
        client.resume_chain(ID),
        anext(client.job_events(ID).read()),
        anext(client.user_events().read()),
        client.webhook_endpoints(),
        client.webhook_deliveries(),
        client.replay_webhooks(ReplayWebhooks()),
        client.enable_webhook_endpoint(EnableEndpoint(url="http://shop.example/hook")),
    ]


def published_operations() -> set[tuple[str, str]]:
    """Return host, method and path of each operation in the services' OpenAPI documents."""
    return {
        (host, f"{method.upper()} {path}")
        for host, app in (("api", ApiHarness().app), ("notifier", NotifierHarness().app))
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }


def named(request: httpx.Request, published: set[tuple[str, str]]) -> tuple[str, str]:
    """Return the published operation that a request is for."""
    [found] = [
        (host, operation)
        for host, operation in published
        if host == request.url.host
        and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", operation), f"{request.method} {request.url.path}")
    ]
    return found


async def test_every_published_operation_has_a_method() -> None:
    published, called = published_operations(), set()

    def refuse(request: httpx.Request) -> httpx.Response:
        called.add(named(request, published))
        return httpx.Response(404, json={"title": "Not Found", "status": 404, "detail": "nothing here"})

    async with client_of(httpx.MockTransport(refuse)) as client:
        for operation in operations_of(client):
            with pytest.raises(RequestRejected, match="nothing here"):
                await operation

    assert called == published


async def test_a_submitted_job_can_be_read_and_cancelled() -> None:
    api = ApiHarness()
    async with client_of(Hosts(api=api.app)) as client:
        submitted = await client.submit(StudioSubmission(character=MARA, count=2))
        repeated = await client.submit(StudioSubmission(job_id=submitted.id, character=MARA, count=2))
        cancelled = await client.cancel(submitted.id)
        page = await client.jobs(type="studio", limit=1)

    assert (submitted.status, submitted.requested) == ("pending", 2)
    assert repeated.id == cancelled.id == page.jobs[0].id == submitted.id
    assert [cancel.job_id for cancel in api.broker.cancels()] == [submitted.id]


async def test_a_refused_submission_names_the_field() -> None:
    broken = StudioSubmission(character=MARA).model_copy(update={"count": 99})
    async with client_of(Hosts(api=ApiHarness().app)) as client:
        with pytest.raises(RequestRejected, match="count: must be at most 10") as caught:
            await client.submit(broken)

    assert caught.value.status == 422


async def test_an_unknown_job_is_refused_with_404() -> None:
    async with client_of(Hosts(api=ApiHarness().app)) as client:
        with pytest.raises(RequestRejected) as caught:
            await client.results(ID)

    assert caught.value.status == 404


async def test_the_events_of_a_job_are_streamed_until_its_end() -> None:
    notifier = NotifierHarness()
    notifier.jobs.put(job_of(STORY))
    async with client_of(Hosts(notifier=notifier.app)) as client:
        stream = client.job_events(STORY[0].job_id)
        events = [event async for event in stream]
        rest = [event async for event in client.job_events(STORY[0].job_id, last_event_id="3")]

    assert [event.event for event in events] == ["accepted", "started", "image_ready", "completed"]
    assert [event.event for event in rest] == ["completed"]
    assert stream.last_event_id == "4"
    assert stream.connected.is_set()
