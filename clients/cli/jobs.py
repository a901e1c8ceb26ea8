"""imagegen job, jobs, cancel: show and cancel jobs"""

import asyncio
from typing import Annotated

import typer

from clients.cli.connection import connection_of
from clients.cli.job_report import print_job, print_jobs
from contracts.http import JobPage, JobView, Results
from contracts.jobs import Status

JobId = Annotated[str, typer.Argument(help="Id of the job.", metavar="ID", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def job(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Show a job, with freshly signed links to its images."""

    async def read() -> tuple[JobView, Results]:
        async with connection_of(ctx).client("api") as client:
            return await client.job(job_id), await client.results(job_id)

    view, results = asyncio.run(read())
    print_job(view, results, as_json=as_json)


def jobs(
    ctx: typer.Context,
    status: Annotated[
        Status | None, typer.Option(help="Only jobs with this status.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Largest number of jobs.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the tenant's jobs, newest first."""

    async def read() -> JobPage:
        async with connection_of(ctx).client("api") as client:
            return await client.jobs(status=status, limit=limit)

    print_jobs(asyncio.run(read()).jobs, as_json=as_json)


def cancel(ctx: typer.Context, job_id: JobId) -> None:
    """Cancel a job. Delivered images are kept."""

    async def request() -> JobView:
        async with connection_of(ctx).client("api") as client:
            return await client.cancel(job_id)

    view = asyncio.run(request())
    typer.echo(
        f"{view.id} had already ended: {view.status}" if view.terminal else f"{view.id} is being cancelled"
    )
