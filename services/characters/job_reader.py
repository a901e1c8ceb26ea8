"""Read from the `jobs` collection which images exist and which character they show."""

from collections.abc import Iterable

from contracts.base import Model, Name
from contracts.characters import Character
from services.characters.drawn import Drawn, DrawnJobs, Jobs
from shared.mongo import Collection, find_by_id

FIELDS = ("tenant", "character", "renders.spec.index", "renders.state")


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
