"""Images that requests may name: those of the tenant's jobs, planned or accepted."""

import asyncio
from collections.abc import Iterator
from typing import Any

from contracts.base import AssetId, Model
from contracts.characters import Character
from contracts.http import FieldError
from contracts.http_chains import BaseImageSelection
from contracts.ids import RenderKey
from contracts.jobs import Job
from services.api.domain import Accepted, Caller
from services.api.ports import Jobs, Submissions


class KnownImages:
    """Finds the jobs of images that a request names."""

    def __init__(self, jobs: Jobs, submissions: Submissions) -> None:
        self._jobs = jobs
        self._submissions = submissions

    async def errors(self, request: Model, tenant: str) -> tuple[FieldError, ...]:
        """Return an error for each job that the request names an image of and the tenant does not have.

        Jobs are read before submissions: one that is planned in between is found in the submissions.
        """
        named = first_of_each_job(request)
        if not named:
            return ()
        known = await self._jobs.of_tenant(tenant, named)
        if others := named.keys() - known:
            known |= await self._submissions.of_tenant(tenant, others)
        missing = {job_id: field for job_id, field in named.items() if job_id not in known}
        return tuple(
            FieldError(field=field, message=job_not_found_text(job_id)) for job_id, field in missing.items()
        )

    async def chosen_from(
        self, selection: BaseImageSelection, caller: Caller
    ) -> tuple[Character | None, tuple[FieldError, ...]]:
        """Return the character on a selected image, if it is known, and the errors of the selection."""
        job_id = RenderKey.parse(selection.base_image_id).job_id
        job, accepted = await asyncio.gather(self._jobs.get(job_id), self._submissions.get(job_id))
        owner = job or (accepted if accepted and accepted.is_job else None)
        if owner is None or owner.tenant != caller.tenant:
            return None, (FieldError(field="base_image_id", message=job_not_found_text(job_id)),)
        character = job.character if job else None
        if character is None and accepted is not None:
            character = accepted.described
        return character, _selection_errors(selection, job, accepted)


def first_of_each_job(request: Any) -> dict[str, str]:
    """Return the jobs of the images that a request names, each with the field that names it first."""
    found: dict[str, str] = {}
    for field, image in _images_named(request):
        found.setdefault(RenderKey.parse(image).job_id, field)
    return found


def _images_named(request: Any) -> Iterator[tuple[str, AssetId]]:
    if own := getattr(request, "base_image_id", None):
        yield "base_image_id", own
    if face := getattr(getattr(request, "character", None), "base_image_id", None):
        yield "character.base_image_id", face
    for place, image in enumerate(getattr(request, "images", ())):
        yield f"images.{place}", image


def job_not_found_text(job_id: str) -> str:
    """Return the error text; the same for another tenant's job."""
    return f"job {job_id} does not exist"


def _selection_errors(
    selection: BaseImageSelection, job: Job | None, accepted: Accepted | None
) -> tuple[FieldError, ...]:
    """Return the errors of a selection. An image that may still become ready is none: the selection waits."""
    key = RenderKey.parse(selection.base_image_id)
    render = next((each for each in job.renders if each.spec.index == key.index), None) if job else None
    if render is None or render.stored is None:
        images = len(job.renders) if job else accepted.requested if accepted else 0
        if (job is not None and job.terminal) or (images and key.index >= images):
            message = f"job {key.job_id} has no image {key.index}"
            return (FieldError(field="base_image_id", message=message),)
    if job is not None and job.renders and job.character is None and selection.character is None:
        message = f"is required: job {key.job_id} does not say who is on its images"
        return (FieldError(field="character", message=message),)
    return ()
