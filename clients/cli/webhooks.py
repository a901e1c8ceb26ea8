"""imagegen webhooks: list failing endpoints and deliveries, replay deliveries"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import typer
from pydantic import ValidationError
from rich.table import Table

from clients.cli.connection import connection_of
from clients.cli.errors import WrongInput
from clients.cli.job_report import wide_console
from contracts.http_webhooks import EnableEndpoint, ReplayWebhooks
from imagegen_client import Client
from shared.kafka.decoding import explain

app = typer.Typer(no_args_is_help=True, help="Webhooks: list failing endpoints and deliveries, replay.")

T = TypeVar("T")
Ended = Literal["delivered", "gave_up"]
Url = Annotated[str, typer.Argument(help="Address of the endpoint, as in the request.", metavar="URL")]


@app.command()
def endpoints(ctx: typer.Context) -> None:
    """Print the tenant's signing secret and its endpoints that have failed."""
    answer = _call(ctx, lambda client: client.webhook_endpoints())
    wide_console().print(f"secret {answer.secret}", markup=False)
    table = _table("url", "state", "failures", "since", "until", "error")
    for endpoint in answer.endpoints:
        table.add_row(
            endpoint.url,
            endpoint.state,
            str(endpoint.failures),
            _time(endpoint.failing_since),
            _time(endpoint.backoff_until),
            endpoint.last_error or "",
        )
    wide_console().print(table if answer.endpoints else "no endpoint has failed")


@app.command()
def secret(ctx: typer.Context) -> None:
    """Print only the tenant's signing secret, for scripts."""
    typer.echo(_call(ctx, lambda client: client.webhook_endpoints()).secret)


@app.command()
def deliveries(
    ctx: typer.Context,
    state: Annotated[
        Literal["pending", "delivered", "gave_up"] | None,
        typer.Option(help="Only deliveries in this state.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Largest number of deliveries.")] = 50,
) -> None:
    """List deliveries, newest first."""
    found = _call(ctx, lambda client: client.webhook_deliveries(state=state, limit=limit)).deliveries
    table = _table("id", "state", "attempts", "next", "answer", "url")
    for delivery in found:
        answer = delivery.last_error or (str(delivery.last_status) if delivery.last_status else "")
        table.add_row(
            delivery.id,
            delivery.state,
            str(delivery.attempts),
            _time(delivery.due_at),
            answer[:60],
            delivery.url,
        )
    wide_console().print(table if found else "no deliveries")


@app.command()
def replay(
    ctx: typer.Context,
    job: Annotated[str | None, typer.Option(help="Only of this job.", show_default=False)] = None,
    url: Annotated[str | None, typer.Option(help="Only to this endpoint.", show_default=False)] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Only created at this time (UTC) or later.", show_default=False)
    ] = None,
    state: Annotated[Ended, typer.Option(help="Only deliveries in this state.")] = "gave_up",
) -> None:
    """Send ended deliveries again: same id and event, fresh links, in order per job."""
    given = {"state": state, "job_id": job, "url": url, "since": since and f"{since.isoformat()}Z"}
    try:
        conditions = ReplayWebhooks.model_validate(given)
    except ValidationError as error:
        raise WrongInput(explain(error)) from None
    typer.echo(f"replayed {_call(ctx, lambda client: client.replay_webhooks(conditions)).replayed}")


@app.command()
def enable(
    ctx: typer.Context,
    url: Url,
    send: Annotated[bool, typer.Option(help="Also replay the deliveries that were given up.")] = True,
) -> None:
    """Resume deliveries to an endpoint that is backing off or disabled."""
    endpoint = EnableEndpoint(url=url, replay=send)
    answer = _call(ctx, lambda client: client.enable_webhook_endpoint(endpoint))
    typer.echo(f"enabled; replayed {answer.replayed}")


def _call(ctx: typer.Context, operation: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
    async def connect_and_call() -> T:
        async with connection_of(ctx).client("notifier") as client:
            return await operation(client)

    return asyncio.run(connect_and_call())


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def _time(at: datetime | None) -> str:
    return f"{at:%m-%d %H:%M:%S}" if at else ""
