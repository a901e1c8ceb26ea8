"""The platform over HTTP, for one user of one tenant."""

import ssl
from types import TracebackType
from typing import Literal, Self
from uuid import uuid4

import httpx

from contracts.base import GenerationType
from contracts.http import AnySubmission, JobPage, JobSnapshot, JobView, ResultImage, Results
from contracts.http_chains import (
    BaseImageSelection,
    ChainView,
    CharacterCreation,
    CharacterPage,
    CharacterView,
)
from contracts.http_webhooks import (
    EnableEndpoint,
    Replayed,
    ReplayWebhooks,
    WebhookDeliveries,
    WebhookEndpoints,
)
from contracts.jobs import Status
from imagegen_client.errors import ServerNotConfigured, ServerUnavailable, reason_of
from imagegen_client.events import EventStream, LinkedJobEvent, job_event, user_event
from imagegen_client.server import Server
from imagegen_client.urls import checked_url, path_of, without_query

SUBMISSION_PATHS: dict[GenerationType, str] = {
    "base_image": "/v1/base-images",
    "character_sheet": "/v1/character-sheets",
    "studio": "/v1/studio",
    "profile_pictures": "/v1/profile-pictures",
    "lora_training": "/v1/lora-trainings",
}
TIMEOUT = httpx.Timeout(30.0, connect=5.0)


class Client:
    """Client of the API and the notifier, on behalf of one user of one tenant.

    Use it as an async context manager. Every method raises `ServerUnavailable`, `RequestRejected`, or
    `ServerNotConfigured` when the URL of its server is missing. All requests are idempotent, so a request
    is repeated while a server is unavailable, for up to `patience_seconds`.
    """

    def __init__(
        self,
        *,
        tenant: str,
        user: str,
        api_url: str | None = None,
        notifier_url: str | None = None,
        patience_seconds: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Open no connection yet.

        Args:
            tenant: Tenant on whose behalf requests are made (`X-Tenant-Id`).
            user: User of the tenant (`X-User-Id`).
            api_url: Base URL of the API, such as `http://127.0.0.1:8080`.
            notifier_url: Base URL of the notifier; needed for events and webhooks only.
            patience_seconds: Time to repeat a request while its server is unavailable.
            transport: Replacement for the network, for instance in tests.

        Raises:
            ValueError: when a URL is not an absolute HTTP URL.
        """
        headers = httpx.Headers({"X-Tenant-Id": tenant, "X-User-Id": user}, encoding="utf-8")
        certificates = httpx.create_ssl_context() if transport is None else None
        self._http = _http(certificates, transport, headers)
        self._storage = _http(certificates, transport, None)
        self._servers = {
            name: Server(name, checked_url(f"{name}_url", url), self._http, patience_seconds)
            for name, url in (("api", api_url), ("notifier", notifier_url))
            if url is not None
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()
        await self._storage.aclose()

    # Jobs

    async def submit(self, submission: AnySubmission, idempotency_key: str | None = None) -> JobView:
        """Submit a request and return its job, which is durable from then on.

        Args:
            submission: The request; its type determines the kind of job.
            idempotency_key: Printable ASCII of 1 to 255 characters, unique per tenant. The same key and
                body again return the same job. Left out, each call makes a job of its own.
        """
        return await self._of("api").call(
            JobView,
            "POST",
            SUBMISSION_PATHS[submission.type],
            body=submission.model_dump(mode="json", exclude_none=True),
            idempotency_key=idempotency_key or str(uuid4()),
        )

    async def job(self, job_id: str) -> JobView:
        """Return the state of a job. Its times are in seconds, its cost in US dollars."""
        return await self._of("api").call(JobView, "GET", path_of("jobs", job_id))

    async def jobs(
        self,
        *,
        status: Status | None = None,
        type: GenerationType | None = None,  # noqa: A002 - the name of the query parameter
        user_id: str | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> JobPage:
        """Return a page of the tenant's jobs, newest first.

        Args:
            status: Only jobs with this status.
            type: Only jobs of this type.
            user_id: Only jobs of this user.
            limit: Largest number of jobs on the page, 1 to 100.
            cursor: `next_cursor` of the page before.
        """
        query = {"status": status, "type": type, "user_id": user_id, "limit": limit, "cursor": cursor}
        return await self._of("api").call(JobPage, "GET", "/v1/jobs", query=query)

    async def results(self, job_id: str) -> Results:
        """Return the images and LoRAs that a job has delivered so far, with freshly signed links."""
        return await self._of("api").call(Results, "GET", path_of("jobs", job_id, "results"))

    async def cancel(self, job_id: str) -> JobView:
        """Cancel a job. Delivered images stay; a job that has ended is returned unchanged."""
        return await self._of("api").call(JobView, "POST", path_of("jobs", job_id, "cancel"))

    async def download(self, image: ResultImage) -> bytes:
        """Return the bytes of an image. The identity of the caller is not sent to the storage.

        Raises:
            ServerUnavailable: when the link cannot be read, for instance because it has expired.
        """
        try:
            response = await self._storage.get(image.url)
        except httpx.HTTPError as error:
            raise ServerUnavailable("storage", without_query(image.url), reason_of(error)) from error
        if not response.is_success:
            raise ServerUnavailable("storage", without_query(image.url), f"status {response.status_code}")
        return response.content

    # Characters and chains

    async def create_character(
        self, creation: CharacterCreation, idempotency_key: str | None = None
    ) -> CharacterView:
        """Create a character. Requests may refer to it at once. See `submit` for the key."""
        body = creation.model_dump(mode="json", exclude_none=True)
        key = idempotency_key or str(uuid4())
        return await self._of("api").call(
            CharacterView, "POST", "/v1/characters", body=body, idempotency_key=key
        )

    async def character(self, character_id: str) -> CharacterView:
        """Return a character with its base image, character sheet and LoRA."""
        return await self._of("api").call(CharacterView, "GET", path_of("characters", character_id))

    async def characters(
        self, *, user_id: str | None = None, limit: int = 20, cursor: str | None = None
    ) -> CharacterPage:
        """Return a page of the tenant's characters, newest first.

        Args:
            user_id: Only characters of this user.
            limit: Largest number of characters on the page, 1 to 100.
            cursor: `next_cursor` of the page before.
        """
        query = {"user_id": user_id, "limit": limit, "cursor": cursor}
        return await self._of("api").call(CharacterPage, "GET", "/v1/characters", query=query)

    async def select_base_image(
        self, character_id: str, selection: BaseImageSelection, idempotency_key: str | None = None
    ) -> ChainView:
        """Choose the base image of a character and return the chain of jobs that this starts.

        See `submit` for the key.
        """
        return await self._of("api").call(
            ChainView,
            "POST",
            path_of("characters", character_id, "base-image"),
            body=selection.model_dump(mode="json", exclude_none=True),
            idempotency_key=idempotency_key or str(uuid4()),
        )

    async def chain(self, chain_id: str) -> ChainView:
        """Return the state of a chain and its steps."""
        return await self._of("api").call(ChainView, "GET", path_of("chains", chain_id))

    async def cancel_chain(self, chain_id: str) -> ChainView:
        """Cancel a chain and its jobs. Delivered images stay; it can be resumed."""
        return await self._of("api").call(ChainView, "POST", path_of("chains", chain_id, "cancel"))

    async def resume_chain(self, chain_id: str) -> ChainView:
        """Retry the failed or cancelled step of a chain and continue from there."""
        return await self._of("api").call(ChainView, "POST", path_of("chains", chain_id, "resume"))

    # Events and webhooks

    def job_events(self, job_id: str, *, last_event_id: str | None = None) -> EventStream[LinkedJobEvent]:
        """Stream the events of one job until it ends, from the first or after `last_event_id`."""
        return EventStream(self._of("notifier"), path_of("jobs", job_id, "events"), job_event, last_event_id)

    def user_events(self, *, last_event_id: str | None = None) -> EventStream[LinkedJobEvent | JobSnapshot]:
        """Stream the events of all jobs of the user, without end.

        Without `last_event_id` it begins with a snapshot of each running job.
        """
        return EventStream(self._of("notifier"), "/v1/users/me/events", user_event, last_event_id)

    async def webhook_endpoints(self) -> WebhookEndpoints:
        """Return the tenant's signing secret and its webhook addresses that have failed."""
        return await self._of("notifier").call(WebhookEndpoints, "GET", "/v1/webhooks/endpoints")

    async def webhook_deliveries(
        self,
        *,
        state: Literal["pending", "delivered", "gave_up"] | None = None,
        job_id: str | None = None,
        limit: int = 50,
    ) -> WebhookDeliveries:
        """Return webhook deliveries, newest first.

        Args:
            state: Only deliveries in this state.
            job_id: Only deliveries of this job.
            limit: Largest number of deliveries, 1 to 500.
        """
        query = {"state": state, "job_id": job_id, "limit": limit}
        return await self._of("notifier").call(
            WebhookDeliveries, "GET", "/v1/webhooks/deliveries", query=query
        )

    async def replay_webhooks(self, conditions: ReplayWebhooks) -> Replayed:
        """Send the deliveries again that have ended and meet all conditions."""
        body = conditions.model_dump(mode="json")
        return await self._of("notifier").call(Replayed, "POST", "/v1/webhooks/deliveries/replay", body=body)

    async def enable_webhook_endpoint(self, endpoint: EnableEndpoint) -> Replayed:
        """Resume deliveries to an address that is backing off or was disabled."""
        body = endpoint.model_dump(mode="json")
        return await self._of("notifier").call(Replayed, "POST", "/v1/webhooks/endpoints/enable", body=body)

    def _of(self, name: str) -> Server:
        if server := self._servers.get(name):
            return server
        raise ServerNotConfigured(name)


def _http(
    certificates: ssl.SSLContext | None,
    transport: httpx.AsyncBaseTransport | None,
    headers: httpx.Headers | None,
) -> httpx.AsyncClient:
    """Return an HTTP client that ignores the proxy variables of the environment."""
    return httpx.AsyncClient(
        headers=headers, verify=certificates or True, timeout=TIMEOUT, trust_env=False, transport=transport
    )
