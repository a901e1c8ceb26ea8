"""Ports of the notifier: its own documents, those of other services, and links."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from contracts.base import Model, Moment
from contracts.jobs import Job
from services.notifier.deliveries import Delivery, State
from services.notifier.endpoints import Endpoint


class Jobs(Protocol):
    """The dispatcher's documents: a job's events and its webhook address."""

    async def get(self, job_id: str) -> Job | None: ...

    async def of_user(self, tenant: str, user_id: str, since: datetime, now: datetime) -> list[Job]:
        """Return the user's jobs that changed since then, and all that have not ended."""

    async def webhooks(self, ids: Iterable[str]) -> dict[str, str]:
        """Return the webhook address of each job that has one; one round trip."""


class Submissions(Protocol):
    """The api's accepted requests: jobs that the dispatcher may not have received yet."""

    async def tenant_of(self, job_id: str) -> str | None:
        """Return the tenant of the job that was accepted under this id, if one was; creations have none."""


class Links(Protocol):
    """Signs links to objects."""

    async def signed_url(self, key: str, seconds: int = 3600) -> str: ...


class DeliveryFilter(Model):
    """Conditions on a tenant's deliveries; null matches any."""

    tenant: str
    state: State | None = None
    job_id: str | None = None
    url: str | None = None
    since: Moment | None = None


class Deliveries(Protocol):
    """The `deliveries` documents: one per event, kept for 30 days."""

    async def add(self, deliveries: Sequence[Delivery]) -> None:
        """Store new deliveries and leave existing ones alone; one round trip."""

    async def known(self, ids: Iterable[str]) -> set[str]:
        """Return the ids that exist, ended or not; one round trip."""

    async def due(self, now: datetime, limit: int) -> list[Delivery]:
        """Return pending deliveries that are due, longest due first."""

    async def heads(self, job_ids: Iterable[str]) -> dict[str, Delivery]:
        """Return the first pending delivery of each job."""

    async def postpone(self, deliveries: Sequence[Delivery]) -> None:
        """Write `due_at` of the deliveries that nobody has claimed or attempted since they were read."""

    async def claim(self, delivery: Delivery, until: datetime) -> Delivery | None:
        """Lease a delivery as it was read; None when another instance was first."""

    async def save(self, delivery: Delivery) -> None:
        """Write a claimed delivery after its attempt."""

    async def listed(self, wanted: DeliveryFilter, limit: int) -> list[Delivery]:
        """Return deliveries without their bodies, newest first."""

    async def replay(self, wanted: DeliveryFilter, now: datetime, until: datetime) -> int:
        """Make ended deliveries pending again, with the same id and body; return their number."""


class Endpoints(Protocol):
    """The `endpoints` documents: addresses that have failed."""

    async def of(self, ids: Iterable[str]) -> dict[str, Endpoint]:
        """Return the endpoints that exist, by id; one round trip."""

    async def of_tenant(self, tenant: str) -> list[Endpoint]:
        """Return all endpoints of a tenant."""

    async def save(self, endpoint: Endpoint) -> None:
        """Write an endpoint."""
