"""What the `jobs` documents tell of images: whose they are, and who is on them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from contracts.base import Model, Name
from contracts.characters import Character
from shared.mongo import Collection, find_by_id

FIELDS = ("tenant", "character", "renders.spec.index", "renders.state")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A job as far as its images are known by it."""

    tenant: Name
    character: Character | None
    ready: frozenset[int]
    """The images that are stored, by their place in the job."""


DrawnJobs = Mapping[str, Drawn]
"""By job id; a job that is not in it does not exist."""


class Jobs(Protocol):
    """The dispatcher's documents."""

    async def drawn(self, job_ids: Iterable[str]) -> DrawnJobs:
        """Those that exist; one round trip."""


class MongoJobs(Jobs):
    """Reads `jobs`."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def drawn(self, job_ids: Iterable[str]) -> DrawnJobs:
        """See `Jobs`."""
        found = await find_by_id(self._collection, job_ids, dict.fromkeys(FIELDS, 1))
        return {document["_id"]: _drawn(_Job.model_validate(document)) for document in found}


class _Spec(Model):
    index: int


class _Render(Model):
    spec: _Spec
    state: str


class _Job(Model):
    tenant: Name
    character: Character | None = None
    renders: tuple[_Render, ...] = ()


def _drawn(job: _Job) -> Drawn:
    ready = frozenset(render.spec.index for render in job.renders if render.state == "done")
    return Drawn(tenant=job.tenant, character=job.character, ready=ready)
