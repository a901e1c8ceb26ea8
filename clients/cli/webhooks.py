"""imagegen webhooks: which addresses fail, what did not arrive, and sending it again"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import typer
from pydantic import ValidationError
from rich.table import Table

from clients.cli.client import Client
from clients.cli.connection import client_of
from clients.cli.errors import WrongInput
from clients.cli.report import wide_console
from contracts.http_webhooks import EnableEndpoint, ReplayWebhooks
from shared.kafka.decoding import explain

app = typer.Typer(no_args_is_help=True, help="Webhooks: failing addresses, deliveries, replay.")

T = TypeVar("T")
Ended = Literal["delivered", "gave_up"]
Url = Annotated[str, typer.Argument(help="The address, as the request named it.", metavar="URL")]


@app.command()
def endpoints(ctx: typer.Context) -> None:
    """The tenant's signing secret, and its addresses that have failed."""
    known = _ask(ctx, lambda client: client.webhook_endpoints())
    wide_console().print(f"secret {known.secret}", markup=False)
    table = _table("url", "state", "failures", "since", "until", "error")
    for each in known.endpoints:
        table.add_row(
            each.url,
            each.state,
            str(each.failures),
            _time(each.failing_since),
            _time(each.rests_until),
            each.last_error or "",
        )
    wide_console().print(table if known.endpoints else "no address has failed")


@app.command()
def secret(ctx: typer.Context) -> None:
    """Print the tenant's signing secret alone, for scripts."""
    typer.echo(_ask(ctx, lambda client: client.webhook_endpoints()).secret)


@app.command()
def deliveries(
    ctx: typer.Context,
    state: Annotated[
        Literal["pending", "delivered", "gave_up"] | None,
        typer.Option(help="Only those.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many.")] = 50,
) -> None:
    """Newest first: what is on its way, what arrived, what was given up."""
    found = _ask(ctx, lambda client: client.webhook_deliveries(state, limit)).deliveries
    table = _table("id", "state", "tries", "next", "answer", "url")
    for each in found:
        answer = each.last_error or (str(each.last_status) if each.last_status else "")
        table.add_row(each.id, each.state, str(each.attempts), _time(each.due_at), answer[:60], each.url)
    wide_console().print(table if found else "no deliveries")


@app.command()
def replay(
    ctx: typer.Context,
    job: Annotated[str | None, typer.Option(help="Only this job's.", show_default=False)] = None,
    url: Annotated[str | None, typer.Option(help="Only to this address.", show_default=False)] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Only what is younger (UTC).", show_default=False)
    ] = None,
    state: Annotated[Ended, typer.Option(help="Which.")] = "gave_up",
) -> None:
    """Send ended deliveries again: same id, same event with fresh links, in order per job."""
    said = {"state": state, "job_id": job, "url": url, "since": since and f"{since.isoformat()}Z"}
    try:
        wanted = ReplayWebhooks.model_validate(said)
    except ValidationError as error:
        raise WrongInput(explain(error)) from None
    typer.echo(f"replayed {_ask(ctx, lambda client: client.replay_webhooks(wanted)).replayed}")


@app.command()
def enable(
    ctx: typer.Context,
    url: Url,
    send: Annotated[bool, typer.Option(help="Also send what was given up.")] = True,
) -> None:
    """Try an address again that rests or was disabled."""
    wanted = EnableEndpoint(url=url, replay=send)
    typer.echo(f"enabled; replayed {_ask(ctx, lambda client: client.enable_endpoint(wanted)).replayed}")


def _ask(ctx: typer.Context, question: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
    async def ask() -> T:
        async with client_of(ctx) as client:
            return await question(client)

    return asyncio.run(ask())


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def _time(at: datetime | None) -> str:
    return f"{at:%m-%d %H:%M:%S}" if at else ""
