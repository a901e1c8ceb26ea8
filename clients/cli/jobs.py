"""imagegen job, jobs, cancel: what became of requests"""

import asyncio
from typing import Annotated

import typer

from clients.cli.connection import client_of
from clients.cli.report import print_job, print_jobs
from contracts.http import JobPage, JobView, Results
from contracts.jobs import Status

JobId = Annotated[str, typer.Argument(help="The job's id.", metavar="ID", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def job(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Show the state of a job, with fresh links to its images."""

    async def ask() -> tuple[JobView, Results]:
        async with client_of(ctx) as client:
            return await client.job(job_id), await client.results(job_id)

    view, results = asyncio.run(ask())
    print_job(view, results, as_json=as_json)


def jobs(
    ctx: typer.Context,
    status: Annotated[Status | None, typer.Option(help="Only those.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The tenant's jobs, newest first."""

    async def ask() -> JobPage:
        async with client_of(ctx) as client:
            return await client.jobs(status, limit)

    print_jobs(asyncio.run(ask()).jobs, as_json=as_json)


def cancel(ctx: typer.Context, job_id: JobId) -> None:
    """Stop a job. What is delivered stays."""

    async def ask() -> JobView:
        async with client_of(ctx) as client:
            return await client.cancel(job_id)

    view = asyncio.run(ask())
    typer.echo(f"{view.id} had ended: {view.status}" if view.terminal else f"{view.id} will be stopped")
