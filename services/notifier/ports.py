"""Ports of the notifier: its documents, other services' documents, and links."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from contracts.base import Model, Moment
from contracts.jobs import Job
from services.notifier.deliveries import Delivery, State
from services.notifier.endpoints import Endpoint


class Jobs(Protocol):
    """The dispatcher's documents: what a stream missed, and where webhooks go."""

    async def get(self, job_id: str) -> Job | None: ...

    async def of_user(self, tenant: str, user_id: str, since: datetime, now: datetime) -> list[Job]:
        """The user's jobs that moved since then, and all that have not ended."""

    async def webhooks(self, ids: Iterable[str]) -> dict[str, str]:
        """The address that each of these jobs named, if it did; one round trip."""


class Submissions(Protocol):
    """The api's accepted requests: jobs that the dispatcher may not have heard of yet."""

    async def tenant_of(self, job_id: str) -> str | None:
        """Return the tenant of the job that was accepted under this id, if one was; creations have none."""


class Links(Protocol):
    """Signs links to objects."""

    async def signed_url(self, key: str, seconds: int = 3600) -> str: ...


class Which(Model):
    """A choice among a tenant's deliveries; a field left out does not matter."""

    tenant: str
    state: State | None = None
    job_id: str | None = None
    url: str | None = None
    since: Moment | None = None


class Deliveries(Protocol):
    """Webhooks to send: one document per event, kept until long after it is sent."""

    async def add(self, deliveries: Sequence[Delivery]) -> None:
        """Keep those that are new; one round trip."""

    async def known(self, ids: Iterable[str]) -> set[str]:
        """Return the ids that exist, ended or not; one round trip."""

    async def due(self, now: datetime, limit: int) -> list[Delivery]:
        """Pending ones whose time has come, longest due first."""

    async def heads(self, job_ids: Iterable[str]) -> dict[str, Delivery]:
        """The first pending one of each job."""

    async def postpone(self, deliveries: Sequence[Delivery]) -> None:
        """Write only `due_at`, of those that are still as they were read."""

    async def claim(self, delivery: Delivery, until: datetime) -> Delivery | None:
        """Lease it as it was read. None: another instance was first."""

    async def save(self, delivery: Delivery) -> None:
        """Write what became of a claimed one."""

    async def listed(self, which: Which, limit: int) -> list[Delivery]:
        """A tenant's deliveries, newest first, without their bodies."""

    async def replay(self, which: Which, now: datetime, until: datetime) -> int:
        """Make them pending again, under the same id and with the same body; returns how many."""


class Endpoints(Protocol):
    """The addresses that have failed."""

    async def of(self, ids: Iterable[str]) -> dict[str, Endpoint]:
        """Return the known ones, by id; one round trip."""

    async def of_tenant(self, tenant: str) -> list[Endpoint]:
        """All that are known."""

    async def save(self, endpoint: Endpoint) -> None:
        """Write what is known now."""
