"""Interfaces of the api to its stores."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Protocol

from contracts.base import GenerationType, Model, Name, UserId
from contracts.chains import Chain
from contracts.characters import CharacterRecord
from contracts.jobs import Job, Status
from services.api.domain import Accepted

Place = tuple[datetime, str]
"""Where a job or a character stands in a list that is newest first: its time and its id."""


class PageQuery(Model):
    """The page to list: of one tenant, older than `before`."""

    tenant: Name
    user_id: UserId | None = None
    before: Place | None = None
    limit: int


class JobQuery(PageQuery):
    """The page of jobs to list."""

    status: Status | None = None
    type: GenerationType | None = None


class Preview(Model):
    """What an asset has beside its image, as far as it is made."""

    key: str | None = None
    placeholder: str | None = None


class Jobs(Protocol):
    """The dispatcher's documents."""

    async def get(self, job_id: str) -> Job | None: ...

    async def page(self, query: JobQuery) -> list[Job]:
        """The newest that match, newest first."""

    async def existing(self, ids: Iterable[str]) -> set[str]:
        """Those of these ids that have a document."""

    async def of_tenant(self, tenant: str, ids: Iterable[str]) -> set[str]:
        """Return those of these ids that are jobs of the tenant."""


class Submissions(Protocol):
    """What was accepted over HTTP, each with the messages it owes."""

    async def add(self, accepted: Accepted, outbox: dict[str, Any]) -> bool:
        """Keep it durably. False when its job id or its idempotency key is taken."""

    async def known(self, accepted: Accepted) -> list[Accepted]:
        """Those that have its idempotency key or its job id; by key first."""

    async def get(self, job_id: str) -> Accepted | None: ...

    async def of_tenant(self, tenant: str, job_ids: Iterable[str]) -> set[str]:
        """Return those of these ids under which the tenant asked for a job."""

    async def storing(self, tenant: str, character_id: str) -> Accepted | None:
        """Return the newest that chooses the face of a character with this id; else the one that
        creates it."""

    async def unplanned(self, query: JobQuery) -> list[Accepted]:
        """Return the newest that match and are not marked as planned, newest first."""

    async def mark_planned(self, job_ids: Collection[str]) -> None:
        """Record that these have a job document. Listings do not read them again."""

    async def pending_characters(self, query: PageQuery) -> list[Accepted]:
        """Return the newest that store a character and are not marked as stored, newest first; those of
        one time by the id of the character."""

    async def pending_of(self, tenant: str, character_ids: Iterable[str]) -> list[Accepted]:
        """Return those that store these characters and are not marked as stored."""

    async def mark_stored(self, job_ids: Collection[str]) -> None:
        """Record that the character of each is stored. Listings do not read them again."""


class Wishes(Protocol):
    """What else was asked for over HTTP about a job or a chain, each with the message it owes."""

    async def add(self, wish_id: str, tenant: str, outbox: dict[str, Any]) -> None:
        """Keep it durably; the same again owes its message again."""


class Stories(Protocol):
    """The documents of the characters service."""

    async def chain(self, chain_id: str) -> Chain | None: ...

    async def character(self, tenant: str, character_id: str) -> CharacterRecord | None: ...

    async def characters_of(self, tenant: str, ids: Iterable[str]) -> dict[str, CharacterRecord]:
        """Return those that exist, by id."""

    async def page(self, query: PageQuery) -> list[CharacterRecord]:
        """Return the newest characters, newest first."""


class Assets(Protocol):
    """The result-store's documents."""

    async def previews(self, ids: Iterable[str]) -> dict[str, Preview]:
        """By asset id, those that exist."""


class Links(Protocol):
    """Signs links to objects."""

    async def signed_url(self, key: str, seconds: int = 3600) -> str: ...
