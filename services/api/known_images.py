"""Images that requests may name: those of the tenant's jobs, planned or accepted."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final

from contracts.base import AssetId, Model
from contracts.characters import Character
from contracts.http import FieldError
from contracts.http_chains import BaseImageSelection
from contracts.ids import RenderKey
from contracts.jobs import Job
from contracts.wording import MAX_ERRORS
from services.api.domain import Accepted, Caller
from services.api.ports import Jobs, Submissions

MAX_IMAGES: Final[Mapping[str, int]] = {"character_sheet": 10, "profile_pictures": 100}
"""Limits of the index while a job has no plan, for types whose request does not state the number."""


class KnownImages:
    """Finds the jobs of images that a request names."""

    def __init__(self, jobs: Jobs, submissions: Submissions) -> None:
        self._jobs = jobs
        self._submissions = submissions

    async def errors(self, request: Model, tenant: str) -> tuple[FieldError, ...]:
        """Return an error for each image that the tenant does not have, and one for each unknown job.

        An image that may still become ready is accepted. Jobs are read before submissions: one that is
        planned in between is found in the submissions.
        """
        named = {field: RenderKey.parse(image) for field, image in _images_named(request)}
        if not named:
            return ()
        ids = {key.job_id for key in named.values()}
        known: dict[str, Job | Accepted] = dict(await self._jobs.of_tenant(tenant, ids))
        if others := ids - known.keys():
            known |= await self._submissions.of_tenant(tenant, others)
        errors: dict[str, FieldError] = {}
        for field, key in named.items():
            owner = known.get(key.job_id)
            if owner is None:
                errors.setdefault(key.job_id, FieldError(field=field, message=job_not_found_text(key.job_id)))
            elif message := _image_error(key, owner):
                errors[field] = FieldError(field=field, message=message)
        return tuple(errors.values())[:MAX_ERRORS]

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


def _image_error(key: RenderKey, owner: Job | Accepted) -> str | None:
    """Return the error text if the job has no such image and will have none, as far as is known."""
    if owner.type == "lora_training":
        return f"job {key.job_id} is a training and has no images"
    if isinstance(owner, Accepted) or (not owner.renders and not owner.terminal):
        expected = key.index < MAX_IMAGES.get(owner.type or "base_image", owner.requested)
    else:
        render = next((each for each in owner.renders if each.spec.index == key.index), None)
        expected = render is not None and (render.stored is not None or not render.terminal)
    return None if expected else image_not_found_text(key)


def image_not_found_text(key: RenderKey) -> str:
    """Return the error text for an image that a job of the tenant lacks."""
    return f"job {key.job_id} has no image {key.index}"


def _selection_errors(
    selection: BaseImageSelection, job: Job | None, accepted: Accepted | None
) -> tuple[FieldError, ...]:
    """Return the errors of a selection. An image that may still become ready is none: the selection waits."""
    key = RenderKey.parse(selection.base_image_id)
    render = next((each for each in job.renders if each.spec.index == key.index), None) if job else None
    if render is None or render.stored is None:
        images = len(job.renders) if job else accepted.requested if accepted else 0
        if (job is not None and job.terminal) or (images and key.index >= images):
            return (FieldError(field="base_image_id", message=image_not_found_text(key)),)
    if job is not None and job.renders and job.character is None and selection.character is None:
        message = f"is required: job {key.job_id} does not say who is on its images"
        return (FieldError(field="character", message=message),)
    return ()
