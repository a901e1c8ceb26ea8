"""The platform over HTTP, for one user: submit, look, cancel, fetch, listen."""

import asyncio
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from clients.cli.addresses import Addresses, Server
from clients.cli.errors import NotWritten, RequestRefused, Unreachable
from clients.cli.events import EventStream
from contracts.base import Model
from contracts.http import AnySubmission, JobPage, JobView, Problem, ResultImage, Results
from contracts.http_chains import BaseImageSelection, ChainView, CharacterView
from contracts.http_webhooks import (
    EnableEndpoint,
    Replayed,
    ReplayWebhooks,
    WebhookDeliveries,
    WebhookEndpoints,
)
from shared.http.certificates import certificates

M = TypeVar("M", bound=Model)

PATHS = {
    "base_image": "/v1/base-images",
    "character_sheet": "/v1/character-sheets",
    "studio": "/v1/studio",
    "profile_pictures": "/v1/profile-pictures",
    "lora_training": "/v1/lora-trainings",
}
ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


class Client:
    """Speaks for one user of one tenant; waits `patience_seconds` for an api that is away."""

    def __init__(self, addresses: Addresses, tenant: str, user: str, *, patience_seconds: float) -> None:
        self._addresses = addresses
        self._patience_seconds = patience_seconds
        headers = httpx.Headers({"X-Tenant-Id": tenant, "X-User-Id": user}, encoding="utf-8")
        self._http = httpx.AsyncClient(
            headers=headers,
            verify=certificates(),
            timeout=httpx.Timeout(30.0, connect=5.0),
            trust_env=False,
        )
        self._links = httpx.AsyncClient(
            verify=certificates(), timeout=httpx.Timeout(60.0, connect=5.0), trust_env=False
        )

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()
        await self._links.aclose()

    async def submit(self, submission: AnySubmission, key: str) -> JobView:
        """Ask for images; the same key and body again give the same job."""
        body = submission.model_dump(mode="json", exclude_none=True)
        return await self._ask(
            JobView, "POST", PATHS[submission.type], json=body, headers={"Idempotency-Key": key}
        )

    async def job(self, job_id: str) -> JobView:
        return await self._ask(JobView, "GET", f"/v1/jobs/{job_id}")

    async def jobs(self, status: str | None, limit: int) -> JobPage:
        query = {"limit": str(limit)} | ({"status": status} if status else {})
        return await self._ask(JobPage, "GET", "/v1/jobs", params=query)

    async def results(self, job_id: str) -> Results:
        return await self._ask(Results, "GET", f"/v1/jobs/{job_id}/results")

    async def cancel(self, job_id: str) -> JobView:
        return await self._ask(JobView, "POST", f"/v1/jobs/{job_id}/cancel")

    async def select(self, character_id: str, selection: BaseImageSelection, key: str) -> ChainView:
        """Choose a character's face; the same key and body again give the same chain."""
        body = selection.model_dump(mode="json", exclude_none=True)
        path = f"{_character_path(character_id)}/base-image"
        return await self._ask(ChainView, "POST", path, json=body, headers={"Idempotency-Key": key})

    async def character(self, character_id: str) -> CharacterView:
        return await self._ask(CharacterView, "GET", _character_path(character_id))

    async def chain(self, chain_id: str) -> ChainView:
        return await self._ask(ChainView, "GET", f"/v1/chains/{chain_id}")

    async def cancel_chain(self, chain_id: str) -> ChainView:
        return await self._ask(ChainView, "POST", f"/v1/chains/{chain_id}/cancel")

    async def resume_chain(self, chain_id: str) -> ChainView:
        return await self._ask(ChainView, "POST", f"/v1/chains/{chain_id}/resume")

    async def fetch(self, image: ResultImage) -> bytes:
        """An image, by its signed link; nothing that says who we are goes along."""
        try:
            answer = await self._links.get(image.url)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            host = httpx.URL(image.url).copy_with(query=None)
            raise Unreachable("image", str(host), error_text(error)) from None
        return answer.content

    def job_events(self, job_id: str) -> EventStream:
        """Yield the events of one job, until it ends."""
        return EventStream(self._http, f"{self._addresses.of('notifier')}/v1/jobs/{job_id}/events")

    def all_events(self) -> EventStream:
        """Yield the events of all jobs of this user, without end."""
        return EventStream(self._http, f"{self._addresses.of('notifier')}/v1/users/me/events")

    async def webhook_endpoints(self) -> WebhookEndpoints:
        return await self._ask(WebhookEndpoints, "GET", "/v1/webhooks/endpoints", "notifier")

    async def webhook_deliveries(self, state: str | None, limit: int) -> WebhookDeliveries:
        query = {"limit": str(limit)} | ({"state": state} if state else {})
        return await self._ask(WebhookDeliveries, "GET", "/v1/webhooks/deliveries", "notifier", params=query)

    async def replay_webhooks(self, wanted: ReplayWebhooks) -> Replayed:
        body = wanted.model_dump(mode="json")
        return await self._ask(Replayed, "POST", "/v1/webhooks/deliveries/replay", "notifier", json=body)

    async def enable_endpoint(self, wanted: EnableEndpoint) -> Replayed:
        body = wanted.model_dump(mode="json")
        return await self._ask(Replayed, "POST", "/v1/webhooks/endpoints/enable", "notifier", json=body)

    async def _ask(self, kind: type[M], method: str, path: str, server: Server = "api", **parts: object) -> M:
        url = self._addresses.of(server)
        answer = await self._answer(url, method, path, parts)
        try:
            if answer.is_success:
                return kind.model_validate_json(answer.content)
            problem = Problem.model_validate_json(answer.content)
        except ValidationError:
            raise Unreachable(server, url, f"its answer {answer.status_code} is not one of ours") from None
        raise RequestRefused(problem)

    async def _answer(self, url: str, method: str, path: str, parts: dict[str, object]) -> httpx.Response:
        """Return the api's answer. Every request may be repeated: a submission has its key."""
        since = monotonic()
        while True:
            try:
                answer = await self._http.request(method, url + path, **parts)  # type: ignore[arg-type]
            except httpx.HTTPError as error:
                if monotonic() - since > self._patience_seconds:
                    raise Unreachable("api", url, error_text(error)) from None
            else:
                if answer.status_code != 503 or monotonic() - since > self._patience_seconds:
                    return answer
            await asyncio.sleep(0.5)


def error_text(error: httpx.HTTPError) -> str:
    """An error in a few words; some have none of their own."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"status {error.response.status_code}"
    return str(error) or type(error).__name__


def file_name(image: ResultImage) -> str:
    """`0-front-portrait.png`."""
    label = "".join(letter if letter.isalnum() else "-" for letter in image.label.lower()).strip("-")
    return f"{image.index}-{label or 'image'}.{ENDINGS.get(image.content_type, 'bin')}"


async def download(client: Client, results: Results, folder: Path) -> list[Path]:
    """Write all images of a job into a folder; the paths are in the images' order.

    Raises:
        NotWritten: with the command that shows the links of the images.
    """
    paths = [folder / file_name(image) for image in results.images]
    try:
        folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing else waits for this process
        for image, path in zip(results.images, paths, strict=True):
            path.write_bytes(await client.fetch(image))
    except OSError as error:
        raise NotWritten(results.job_id, error) from None
    return paths


def _character_path(character_id: str) -> str:
    """The address of a character, whose id may be any text of the caller's."""
    return f"/v1/characters/{quote(character_id, safe='')}"
