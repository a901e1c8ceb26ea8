"""imagegen dlq: list, show, replay and drop dead letters"""

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Annotated

import typer
from aiokafka import AIOKafkaProducer
from rich.table import Table

from clients.cli.connection import connection_of
from clients.cli.dead_letters import DeadLetterView, publish, replay_of, resolution_of, views_of
from clients.cli.errors import CommandFailed, WrongInput
from clients.cli.job_report import wide_console
from clients.cli.topics import broker_errors, read_all
from contracts.operations import DeadLetter, DeadLetterResolved
from shared.envelope import Envelope
from shared.limits import MAX_MESSAGE_BYTES
from shared.url_credentials import redacted

app = typer.Typer(no_args_is_help=True, help="List, show, replay and drop dead letters.")

Ids = Annotated[
    list[str] | None,
    typer.Argument(help="SERVICE/TOPIC/PARTITION/OFFSET, as listed by 'dlq list'.", metavar="ID…"),
]
Service = Annotated[str | None, typer.Option(help="Only from this service.", show_default=False)]
Reason = Annotated[str | None, typer.Option(help="Only with this reason.", show_default=False)]
Note = Annotated[str, typer.Option(help="Note to store with the resolution.", show_default=False)]
Again = Annotated[bool, typer.Option("--again", help="Include replayed and dropped ones.")]
All = Annotated[bool, typer.Option("--all", help="All unresolved ones that match.")]


class UnknownDeadLetter(CommandFailed):
    """No dead letter has this id."""

    def __init__(self, dead_letter_id: str) -> None:
        super().__init__(f"there is no dead letter {dead_letter_id}; 'imagegen dlq list' prints all ids")


@app.command("list")
def list_dead_letters(
    ctx: typer.Context,
    service: Service = None,
    reason: Reason = None,
    resolved: Annotated[bool, typer.Option("--all", help="Include replayed and dropped ones.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """List dead letters, oldest first, with reason, number of attempts and error."""
    found = [
        view
        for view in _read(ctx)
        if _matches(view, service, reason) and (resolved or view.resolution is None)
    ]
    if as_json:
        for view in found:
            typer.echo(redacted(json.dumps(_as_json(view), ensure_ascii=False)))
        return
    wide_console().print(_table(found) if found else "no dead letters")


@app.command()
def show(
    ctx: typer.Context,
    dead_letter_id: Annotated[str, typer.Argument(help="Id of the dead letter.", metavar="ID")],
) -> None:
    """Show one dead letter with its error, headers and value. Credentials in URLs are removed."""
    view = _by_ids(_read(ctx), [dead_letter_id])[0]
    value = base64.b64decode(view.message.original_value)
    shown = _as_json(view) | {"original_headers": view.message.original_headers}
    text = json.dumps(shown | {"value": value.decode("utf-8", "backslashreplace")}, indent=2)
    typer.echo(redacted(text))


@app.command()
def replay(
    ctx: typer.Context,
    dead_letter_ids: Ids = None,
    every: All = False,
    service: Service = None,
    reason: Reason = None,
    note: Note = "",
    again: Again = False,
) -> None:
    """Publish the original records again on their topics, each once."""
    chosen = _chosen(ctx, dead_letter_ids, every, service, reason, again)
    cut = [view.id for view in chosen if view.message.cut]
    if cut:
        raise CommandFailed(f"stored in part only, read the original record instead: {', '.join(cut)}")
    _publish(
        ctx,
        [
            envelope
            for view in chosen
            for envelope in (replay_of(view.message), resolution_of(view, "replayed", note))
        ],
    )
    typer.echo(f"replayed {len(chosen)}")


@app.command()
def drop(
    ctx: typer.Context,
    dead_letter_ids: Ids = None,
    every: All = False,
    service: Service = None,
    reason: Reason = None,
    note: Note = "",
) -> None:
    """Mark dead letters as resolved without replay. They stay on their topic."""
    chosen = _chosen(ctx, dead_letter_ids, every, service, reason, again=False)
    _publish(ctx, [resolution_of(view, "dropped", note) for view in chosen])
    typer.echo(f"dropped {len(chosen)}")


def _read(ctx: typer.Context) -> list[DeadLetterView]:
    bootstrap = connection_of(ctx).addresses.of("kafka")
    with broker_errors(bootstrap):
        records = asyncio.run(read_all(bootstrap, [DeadLetter.topic, DeadLetterResolved.topic]))
    return views_of(records)


def _chosen(
    ctx: typer.Context,
    dead_letter_ids: Sequence[str] | None,
    every: bool,
    service: str | None,
    reason: str | None,
    again: bool,
) -> list[DeadLetterView]:
    if bool(dead_letter_ids) == every:
        raise WrongInput("give the ids of dead letters, or --all")
    views = _read(ctx)
    chosen = _by_ids(views, dead_letter_ids) if dead_letter_ids else views
    return [view for view in chosen if _matches(view, service, reason) and (again or view.resolution is None)]


def _by_ids(views: Sequence[DeadLetterView], dead_letter_ids: Sequence[str]) -> list[DeadLetterView]:
    known = {view.id: view for view in views}
    for dead_letter_id in dead_letter_ids:
        if dead_letter_id not in known:
            raise UnknownDeadLetter(dead_letter_id)
    return [known[dead_letter_id] for dead_letter_id in dict.fromkeys(dead_letter_ids)]


def _matches(view: DeadLetterView, service: str | None, reason: str | None) -> bool:
    return service in (None, view.message.service) and reason in (None, view.message.reason)


def _publish(ctx: typer.Context, envelopes: Sequence[Envelope]) -> None:
    bootstrap = connection_of(ctx).addresses.of("kafka")

    async def connect_and_publish() -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, acks="all", max_request_size=MAX_MESSAGE_BYTES
        )
        try:
            await producer.start()
            await publish(producer, envelopes)
        finally:
            await producer.stop()

    with broker_errors(bootstrap):
        asyncio.run(connect_and_publish())


def _as_json(view: DeadLetterView) -> dict[str, object]:
    fields = view.message.model_dump(mode="json", exclude={"original_value", "original_headers"})
    return {"id": view.id, "resolved": view.resolution.action if view.resolution else None} | fields


def _table(views: Sequence[DeadLetterView]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("id", no_wrap=True)
    table.add_column("reason")
    table.add_column("attempts", justify="right")
    for name in ("at", "error"):
        table.add_column(name)
    for view in views:
        resolution = f" ({view.resolution.action})" if view.resolution else ""
        table.add_row(
            view.id,
            view.message.reason + resolution,
            str(view.message.attempts),
            f"{view.message.at:%m-%d %H:%M:%S}",
            redacted(view.message.error[:160]),
        )
    return table
