"""What the checker is given: everything that was kept or said, as it is found there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Said:
    """A record of `job.events`."""

    id: str
    """Its CloudEvents id."""
    body: Document


@dataclass(frozen=True)
class Submission:
    """An entry of a provider's own books. `our_id` is what we put into the request."""

    provider: str
    id: str
    our_id: str | None
    state: str


@dataclass(frozen=True)
class Got:
    """A webhook as its receiver acknowledged it."""

    id: str
    url: str
    body: bytes


@dataclass(frozen=True)
class Evidence:
    """All of it, after everything has come to rest."""

    asked: Sequence[str] = ()
    """The ids of all jobs that were asked for and acknowledged."""
    told: Mapping[str, str] = field(default_factory=dict)
    """The webhook of each job that named one."""
    jobs: Mapping[str, Document] = field(default_factory=dict)
    events: Sequence[Said] = ()
    assets: Mapping[str, Document] = field(default_factory=dict)
    objects: Mapping[str, str] = field(default_factory=dict)
    """Key and SHA-256 of the content of every object in the bucket."""
    attempts: Mapping[str, Document] = field(default_factory=dict)
    submissions: Sequence[Submission] = ()
    got: Sequence[Got] = ()
    """In the order in which they came."""


def id_at_provider(attempt_id: str) -> str:
    """What Modal and ComfyUI are given; Fal's webhook carries the attempt id itself."""
    return str(uuid5(NAMESPACE_URL, f"imagegen:{attempt_id}"))
