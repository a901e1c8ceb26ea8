"""Following a job: by its events, or by polling when the notifier is unavailable."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from clients.cli.job_progress import JobProgress, follow
from contracts.jobs import Status
from imagegen_client import Client, ServerUnavailable
from tests.fakes.jobs import a_story

ACCEPTED, COMPLETED = a_story("accepted", "completed")
JOB_ID = ACCEPTED.job_id
EVENTS = "".join(
    f"id: {event.seq}\nevent: {event.event}\ndata: {event.model_dump_json()}\n\n"
    for event in (ACCEPTED, COMPLETED)
)


def a_view(**fields: Any) -> dict[str, Any]:
    known = {"id": JOB_ID, "type": "studio", "user_id": "u", "status": "running", "phase": "rendering"}
    counts = {"requested": 1, "delivered": 0, "failed": 0, "elapsed_seconds": 1.0}
    image = {"index": 0, "label": "front-portrait", "state": "running"}
    created = datetime(2030, 1, 1, tzinfo=UTC).isoformat()
    return known | counts | {"created": created, "images": [image]} | fields


class Servers:
    """Answers of the API and the notifier; the last answer of the API repeats. None: connection refused."""

    def __init__(self, views: list[dict[str, Any] | None], events: str | None) -> None:
        self._views = views
        self._events = events
        self.polls = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "notifier":
            return self._answer(self._events, "text/event-stream")
        view = self._views[min(self.polls, len(self._views) - 1)]
        self.polls += 1
        return self._answer(None if view is None else json.dumps(view), "application/json")

    def _answer(self, text: str | None, content_type: str) -> httpx.Response:
        if text is None:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, text=text, headers={"Content-Type": content_type})


async def followed(servers: Servers) -> tuple[JobProgress, list[Status]]:
    """Follow a job to its end; return it and its status after each change."""
    job, statuses = JobProgress(JOB_ID, "studio"), list[Status]()
    async with Client(
        api_url="http://api",
        notifier_url="http://notifier",
        tenant="t",
        user="u",
        patience_seconds=0,
        transport=httpx.MockTransport(servers),
    ) as client:
        async for current in follow(client, job):
            statuses.append(current.status)
    return job, statuses


async def test_a_job_is_followed_by_its_events_with_labels_from_the_api() -> None:
    servers = Servers([a_view()], EVENTS)

    job, statuses = await followed(servers)

    assert statuses[-1] == "completed"
    assert job.images[0].label == "front-portrait"
    assert servers.polls == 1


async def test_a_job_is_polled_while_the_notifier_is_unavailable() -> None:
    servers = Servers([a_view(), a_view(), a_view(status="completed", phase=None)], None)

    _, statuses = await followed(servers)

    assert statuses == ["running", "running", "completed"]


async def test_an_unavailable_api_ends_the_command() -> None:
    with pytest.raises(ServerUnavailable, match="the api at http://api is unavailable"):
        await followed(Servers([None], EVENTS))
