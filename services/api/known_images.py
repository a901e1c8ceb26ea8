"""Images that requests may name: those of the tenant's jobs, planned or accepted a moment ago."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final

from contracts.base import AssetId, Model
from contracts.http import FieldError
from contracts.http_chains import BaseImageSelection
from contracts.ids import RenderKey
from contracts.jobs import Job
from contracts.wording import MAX_ERRORS
from services.api.domain import Accepted, Caller
from services.api.ports import Jobs, Submissions

MOST_IMAGES: Final[Mapping[str, int]] = {"character_sheet": 10, "profile_pictures": 100}
"""Bounds of the indexes of jobs that are not planned yet, where the number of images is not one."""


class KnownImages:
    """Finds the jobs of images that a request names."""

    def __init__(self, jobs: Jobs, submissions: Submissions) -> None:
        self._jobs = jobs
        self._submissions = submissions

    async def faults(self, said: Model, tenant: str) -> tuple[FieldError, ...]:
        """Return an error for each image that the tenant does not have; for each of its unknown jobs one.

        An image that is still to come may be named. Jobs are read before submissions: one that is planned
        in between is found in the submissions.
        """
        named = {field: RenderKey.parse(image) for field, image in _named(said)}
        if not named:
            return ()
        ids = {key.job_id for key in named.values()}
        known: dict[str, Job | Accepted] = dict(await self._jobs.of_tenant(tenant, ids))
        if others := ids - known.keys():
            known |= await self._submissions.of_tenant(tenant, others)
        faults: dict[str, FieldError] = {}
        for field, key in named.items():
            owner = known.get(key.job_id)
            if owner is None:
                faults.setdefault(key.job_id, FieldError(field=field, message=no_job(key.job_id)))
            elif message := _fault_of(key, owner):
                faults[field] = FieldError(field=field, message=message)
        return tuple(faults.values())[:MAX_ERRORS]

    async def chosen_from(
        self, selection: BaseImageSelection, caller: Caller
    ) -> tuple[Job | None, tuple[FieldError, ...]]:
        """Return the job that a chosen face comes from, and the errors of the choice."""
        job_id = RenderKey.parse(selection.base_image_id).job_id
        job, accepted = await asyncio.gather(self._jobs.get(job_id), self._submissions.get(job_id))
        owner = job or (accepted if accepted and accepted.is_job else None)
        if owner is None or owner.tenant != caller.tenant:
            return None, (FieldError(field="base_image_id", message=no_job(job_id)),)
        return job, _faults_of_choice(selection, job)


def _named(said: Any) -> Iterator[tuple[str, AssetId]]:
    if own := getattr(said, "base_image_id", None):
        yield "base_image_id", own
    if face := getattr(getattr(said, "character", None), "base_image_id", None):
        yield "character.base_image_id", face
    for place, image in enumerate(getattr(said, "images", ())):
        yield f"images.{place}", image


def _fault_of(key: RenderKey, owner: Job | Accepted) -> str | None:
    """Say why the owner has no such image and will have none, as far as it is known."""
    if owner.type == "lora_training":
        return f"job {key.job_id} is a training and has no images"
    if isinstance(owner, Accepted) or (not owner.renders and not owner.terminal):
        is_expected = key.index < MOST_IMAGES.get(owner.type or "base_image", owner.requested)
    else:
        render = next((each for each in owner.renders if each.spec.index == key.index), None)
        is_expected = render is not None and (render.stored is not None or not render.terminal)
    return None if is_expected else no_image(key)


def no_image(key: RenderKey) -> str:
    """Say that a job of the tenant lacks an image."""
    return f"job {key.job_id} has no image {key.index}"


def no_job(job_id: str) -> str:
    """Say the same whether there is none or it is another tenant's."""
    return f"there is no job {job_id}"


def _faults_of_choice(selection: BaseImageSelection, job: Job | None) -> tuple[FieldError, ...]:
    key = RenderKey.parse(selection.base_image_id)
    render = next((each for each in job.renders if each.spec.index == key.index), None) if job else None
    if job is None or render is None or render.stored is None:
        ahead = job is None or (render is not None and not job.terminal)
        advice = " yet; choose one that is ready" if ahead else ""
        return (FieldError(field="base_image_id", message=no_image(key) + advice),)
    if job.character is None and selection.character is None:
        message = f"is required: job {key.job_id} does not say who is on its images"
        return (FieldError(field="character", message=message),)
    return ()
