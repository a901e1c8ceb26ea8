"""`/v1/jobs`: state, results and cancellation of jobs."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from contracts.base import GenerationType, Id, UserId
from contracts.http import JobPage, JobView, Results
from contracts.jobs import Status
from services.api.callers import CallerHeaders
from services.api.job_pages import position_of
from services.api.job_queries import JobQueries
from services.api.ports import JobQuery
from services.api.request_context import Trace
from services.api.submission_service import SubmissionService
from shared.http.problems import problem_responses


def job_routes(service: SubmissionService, jobs: JobQueries) -> APIRouter:
    """Return the routes below `/v1/jobs`."""
    router = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=problem_responses(401, 422, 503))
    unknown = problem_responses(404)

    @router.get("", responses=problem_responses(400))
    async def list_jobs(
        caller: CallerHeaders,
        status: Status | None = None,
        type: GenerationType | None = None,  # noqa: A002 - the name of the query parameter
        user_id: UserId | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        cursor: Annotated[str | None, Query(max_length=200)] = None,
    ) -> JobPage:
        """List the tenant's jobs, newest first."""
        before = position_of(cursor)
        query = JobQuery(
            tenant=caller.tenant, status=status, type=type, user_id=user_id, before=before, limit=limit
        )
        return await jobs.page(query)

    @router.get("/{job_id}", responses=unknown)
    async def get_job(job_id: Id, caller: CallerHeaders) -> JobView:
        """Get the state of a job. Poll until `status` is `completed` or `failed`, or follow its events."""
        return await jobs.job(job_id, caller.tenant)

    @router.get("/{job_id}/results", responses=unknown)
    async def get_results(job_id: Id, caller: CallerHeaders) -> Results:
        """Get the images that are ready, or the trained LoRA, with links signed for this response."""
        return await jobs.results(job_id, caller.tenant)

    @router.post(
        "/{job_id}/cancel",
        status_code=202,
        responses=unknown | {200: {"model": JobView, "description": "The job had already ended"}},
    )
    async def cancel_job(job_id: Id, caller: CallerHeaders, trace: Trace, response: Response) -> JobView:
        """Stop a job. Delivered images stay; open renders are cancelled."""
        view = await jobs.job(job_id, caller.tenant)
        if view.terminal:
            response.status_code = 200
        else:
            await service.cancel(job_id, caller, trace)
        return view

    return router
