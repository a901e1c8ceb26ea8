"""Read from the `jobs` collection which images exist and which character they show."""

from collections.abc import Iterable

from contracts.base import Model, Name
from contracts.characters import Character
from contracts.jobs import ENDED
from services.characters.job_images import ImagesByJob, JobImages, JobReader
from shared.mongo import Collection, find_by_id

FIELDS = ("tenant", "character", "status", "placeholder", "renders.spec.index", "renders.state")


class MongoJobReader(JobReader):
    """Reads `jobs`. A job that is only cancelled and not planned yet counts as unknown."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def images(self, job_ids: Iterable[str]) -> ImagesByJob:
        """See `JobReader`."""
        found = await find_by_id(self._collection, job_ids, dict.fromkeys(FIELDS, 1))
        jobs = {document["_id"]: _Job.model_validate(document) for document in found}
        return {job_id: _images(job) for job_id, job in jobs.items() if not job.placeholder}


class _Spec(Model):
    index: int


class _Render(Model):
    spec: _Spec
    state: str


class _Job(Model):
    tenant: Name
    character: Character | None = None
    status: str = "pending"
    placeholder: bool = False
    renders: tuple[_Render, ...] = ()


def _images(job: _Job) -> JobImages:
    return JobImages(
        tenant=job.tenant,
        character=job.character,
        ready=frozenset(render.spec.index for render in job.renders if render.state == "done"),
        planned=len(job.renders) or None,
        ended=job.status in ENDED,
    )
