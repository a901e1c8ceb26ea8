"""Queries of one tenant's jobs and results, from documents and signed links."""

import asyncio
from datetime import timedelta

from contracts.http import JobPage, JobView, ResultImage, ResultLora, Results
from contracts.ids import RenderKey
from contracts.jobs import Render
from contracts.renders import StoredImage, StoredLora
from services.api.domain import Accepted
from services.api.job_pages import page
from services.api.ports import Assets, JobQuery, Jobs, Links, Preview, Submissions
from services.api.views import (
    job_view,
    pending_view,
    result_image,
    result_lora,
    results_view,
)
from shared.clock import Clock
from shared.http.problems import Refusal


class JobQueries:
    """Reads planned jobs from `jobs`, and the others from `submissions`."""

    def __init__(
        self,
        jobs: Jobs,
        submissions: Submissions,
        assets: Assets,
        links: Links,
        now: Clock,
        link_seconds: int,
    ) -> None:
        self._jobs = jobs
        self._submissions = submissions
        self._assets = assets
        self._links = links
        self._now = now
        self._link_seconds = link_seconds

    async def job(self, job_id: str, tenant: str) -> JobView:
        """Return a job of this tenant.

        Raises:
            Refusal: 404, also for another tenant's job.
        """
        job = await self._jobs.get(job_id)
        accepted = await self._submissions.get(job_id) if job is None or job.placeholder else None
        owner = job or (accepted if accepted and accepted.is_job else None)
        if owner is None or owner.tenant != tenant:
            raise job_not_found(job_id)
        if job is not None:
            return job_view(job, self._now(), accepted)
        assert accepted is not None
        return pending_view(accepted, self._now())

    async def submitted(self, accepted: Accepted, *, new: bool) -> JobView:
        """Return the job of a submission; a new submission has no job document yet."""
        job = None if new else await self._jobs.get(accepted.job_id)
        return job_view(job, self._now(), accepted) if job else pending_view(accepted, self._now())

    async def page(self, query: JobQuery) -> JobPage:
        """Return a page of jobs, newest first.

        Submissions are read before jobs: a job that is planned in between appears in both lists, and
        never in none.
        """
        wider = query.with_one_more()
        accepted = await self._unplanned(wider) if query.status in (None, "pending") else []
        planned = await self._jobs.page(wider)
        now = self._now()
        return page(
            [job_view(job, now) for job in planned],
            [pending_view(other, now) for other in accepted],
            query.limit,
        )

    async def _unplanned(self, query: JobQuery) -> list[Accepted]:
        """Return the newest submissions without a job, up to the query's limit.

        Those found to have a job are marked, so that no later listing reads them again.
        """
        found: list[Accepted] = []
        while True:
            batch = await self._submissions.unplanned(query)
            planned = await self._jobs.existing(other.job_id for other in batch) if batch else set()
            if planned:
                await self._submissions.mark_planned(planned)
            found += [other for other in batch if other.job_id not in planned]
            if len(found) >= query.limit or len(batch) < query.limit:
                return found[: query.limit]
            query = query.from_position((batch[-1].requested_at, batch[-1].job_id))

    async def results(self, job_id: str, tenant: str) -> Results:
        """Return the stored results, with fresh links.

        Raises:
            Refusal: 404, also for another tenant's job.
        """
        job = await self._jobs.get(job_id)
        if job is None or job.tenant != tenant:
            view = await self.job(job_id, tenant)
            return Results(job_id=job_id, status=view.status, requested=view.requested, delivered=0)
        stored = [(render, render.stored) for render in job.renders if render.stored]
        keys = [str(RenderKey(job_id, render.spec.index)) for render, _ in stored]
        previews = await self._assets.previews(keys)
        images = await asyncio.gather(
            *(
                self._image(render, image, previews.get(key))
                for key, (render, image) in zip(keys, stored, strict=True)
            )
        )
        trained = [(render, render.lora) for render in job.renders if render.lora]
        loras = await asyncio.gather(*(self._lora(render, lora) for render, lora in trained))
        return results_view(job, images, loras)

    async def _lora(self, render: Render, stored: StoredLora) -> ResultLora:
        ends = self._now() + timedelta(seconds=self._link_seconds)
        weights = await self._links.signed_url(stored.key, self._link_seconds)
        manifest = await self._links.signed_url(stored.manifest_key, self._link_seconds)
        return result_lora(render, stored, (weights, manifest), ends)

    async def _image(self, render: Render, stored: StoredImage, preview: Preview | None) -> ResultImage:
        ends = self._now() + timedelta(seconds=self._link_seconds)
        url = await self._links.signed_url(stored.key, self._link_seconds)
        small = preview.key if preview else None
        preview_url = await self._links.signed_url(small, self._link_seconds) if small else None
        return result_image(render, stored, preview, (url, preview_url), ends)


def job_not_found(job_id: str) -> Refusal:
    """Return the 404 for a job that does not exist or belongs to another tenant."""
    return Refusal(404, f"job {job_id} does not exist")
