"""Interfaces of the api to its stores."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Protocol, Self

from contracts.base import GenerationType, Model, Name, UserId
from contracts.chains import Chain
from contracts.characters import CharacterRecord
from contracts.jobs import Job, Status
from services.api.domain import Accepted

Position = tuple[datetime, str]
"""Position of a job or a character in a list that is newest first: its time and its id."""


class PageQuery(Model):
    """The page to list: of one tenant, older than `before`."""

    tenant: Name
    user_id: UserId | None = None
    before: Position | None = None
    limit: int

    def with_one_more(self) -> Self:
        """Return the query with room for the first item of the next page."""
        return self.model_copy(update={"limit": self.limit + 1})

    def from_position(self, position: Position) -> Self:
        """Return the query for the items after a position."""
        return self.model_copy(update={"before": position})


class JobQuery(PageQuery):
    """The page of jobs to list."""

    status: Status | None = None
    type: GenerationType | None = None


class Preview(Model):
    """Preview and placeholder of an asset's image; null until they are made."""

    key: str | None = None
    placeholder: str | None = None


class Jobs(Protocol):
    """The dispatcher's documents."""

    async def get(self, job_id: str) -> Job | None: ...

    async def page(self, query: JobQuery) -> list[Job]:
        """Return the newest jobs that match, newest first."""

    async def existing(self, ids: Iterable[str]) -> set[str]:
        """Return the ids that have a document."""

    async def of_tenant(self, tenant: str, ids: Iterable[str]) -> dict[str, Job]:
        """Return the tenant's jobs among these ids, by id."""


class Submissions(Protocol):
    """Requests accepted over HTTP, each with an outbox entry."""

    async def add(self, accepted: Accepted, outbox: dict[str, Any]) -> bool:
        """Store a submission; False when its job id or its idempotency key is taken."""

    async def known(self, accepted: Accepted) -> list[Accepted]:
        """Return submissions with the same idempotency key or job id; those with the key come first."""

    async def get(self, job_id: str) -> Accepted | None: ...

    async def of_tenant(self, tenant: str, job_ids: Iterable[str]) -> dict[str, Accepted]:
        """Return the submissions under these ids in which the tenant requested a job, by job id."""

    async def storing(self, tenant: str, character_id: str) -> Accepted | None:
        """Return the newest submission that chooses the face of a character, else the one that creates
        it."""

    async def unplanned(self, query: JobQuery) -> list[Accepted]:
        """Return the newest submissions that match and are not marked as planned, newest first."""

    async def mark_planned(self, job_ids: Collection[str]) -> None:
        """Mark submissions that have a job document; listings skip them."""

    async def pending_characters(self, query: PageQuery) -> list[Accepted]:
        """Return the newest submissions that store a character and are not marked as stored.

        The order is newest first, and by character id within one time.
        """

    async def pending_of(self, tenant: str, character_ids: Iterable[str]) -> list[Accepted]:
        """Return the submissions that store these characters and are not marked as stored."""

    async def mark_stored(self, job_ids: Collection[str]) -> None:
        """Mark submissions whose character is stored; listings skip them."""


class Commands(Protocol):
    """Commands about a job or a chain (cancel, resume), each with an outbox entry."""

    async def add(self, command_id: str, tenant: str, outbox: dict[str, Any]) -> None:
        """Store a command; the same command again is published again."""


class ChainStore(Protocol):
    """The documents of the characters service: chains and characters."""

    async def chain(self, chain_id: str) -> Chain | None: ...

    async def character(self, tenant: str, character_id: str) -> CharacterRecord | None: ...

    async def characters_of(self, tenant: str, ids: Iterable[str]) -> dict[str, CharacterRecord]:
        """Return the characters that exist, by id."""

    async def page(self, query: PageQuery) -> list[CharacterRecord]:
        """Return the newest characters, newest first."""


class Assets(Protocol):
    """The result-store's documents."""

    async def previews(self, ids: Iterable[str]) -> dict[str, Preview]:
        """Return the previews that exist, by asset id."""


class Links(Protocol):
    """Signs links to objects."""

    async def signed_url(self, key: str, seconds: int = 3600) -> str: ...
