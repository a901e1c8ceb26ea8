"""imagegen dlq: what could not be handled, why, and what is to become of it"""

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Annotated

import typer
from aiokafka import AIOKafkaProducer
from rich.table import Table

from clients.cli.connection import connection_of
from clients.cli.errors import CommandFailed
from clients.cli.letters import Letter, letters_of, replay_of, resolution_of, say
from clients.cli.report import wide_console
from clients.cli.topics import quiet, read_all
from contracts.operations import DeadLetter, DeadLetterResolved
from shared.envelope import Envelope
from shared.limits import MAX_MESSAGE_BYTES
from shared.url_credentials import redacted

app = typer.Typer(no_args_is_help=True, help="Dead letters: what could not be handled, and why.")

Ids = Annotated[
    list[str] | None, typer.Argument(help="SERVICE/TOPIC/PARTITION/OFFSET, as listed.", metavar="ID…")
]
Service = Annotated[str | None, typer.Option(help="Only those of this service.", show_default=False)]
Reason = Annotated[str | None, typer.Option(help="Only those with this reason.", show_default=False)]
Note = Annotated[str, typer.Option(help="Why, for whoever reads the list later.", show_default=False)]
Again = Annotated[bool, typer.Option("--again", help="Also those that were replayed or dropped.")]
Every = Annotated[bool, typer.Option("--all", help="All that are open (and match).")]


class UnknownLetter(CommandFailed):
    """No letter has this id."""

    def __init__(self, letter_id: str) -> None:
        super().__init__(f"there is no dead letter {letter_id}; imagegen dlq list shows what there is")


@app.command("list")
def list_letters(
    ctx: typer.Context,
    service: Service = None,
    reason: Reason = None,
    resolved: Annotated[bool, typer.Option("--all", help="Also replayed and dropped ones.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Oldest first: reason, origin, how often it was tried."""
    found = [
        each for each in _letters(ctx) if _fits(each, service, reason) and (resolved or each.resolved is None)
    ]
    if as_json:
        for each in found:
            typer.echo(redacted(json.dumps(_as_json(each), ensure_ascii=False)))
        return
    wide_console().print(_table(found) if found else "no dead letters")


@app.command()
def show(ctx: typer.Context, letter_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Show one letter whole: error, headers, and the record's value without credentials of URLs."""
    letter = _named(_letters(ctx), [letter_id])[0]
    value = base64.b64decode(letter.letter.original_value)
    shown = _as_json(letter) | {"original_headers": letter.letter.original_headers}
    text = json.dumps(shown | {"value": value.decode("utf-8", "backslashreplace")}, indent=2)
    typer.echo(redacted(text))


@app.command()
def replay(
    ctx: typer.Context,
    letter_ids: Ids = None,
    every: Every = False,
    service: Service = None,
    reason: Reason = None,
    note: Note = "",
    again: Again = False,
) -> None:
    """Put records back on their topics, as they were. What was replayed is not replayed again."""
    chosen = _chosen(ctx, letter_ids, every, service, reason, again)
    cut = [each.id for each in chosen if each.letter.cut]
    if cut:
        raise CommandFailed(f"too large to be kept whole, read it at its origin: {', '.join(cut)}")
    _say(ctx, [e for each in chosen for e in (replay_of(each.letter), resolution_of(each, "replayed", note))])
    typer.echo(f"replayed {len(chosen)}")


@app.command()
def drop(
    ctx: typer.Context,
    letter_ids: Ids = None,
    every: Every = False,
    service: Service = None,
    reason: Reason = None,
    note: Note = "",
) -> None:
    """Nothing is to be done about them; they leave the list, and stay on their topic."""
    chosen = _chosen(ctx, letter_ids, every, service, reason, again=False)
    _say(ctx, [resolution_of(each, "dropped", note) for each in chosen])
    typer.echo(f"dropped {len(chosen)}")


def _letters(ctx: typer.Context) -> list[Letter]:
    bootstrap = connection_of(ctx).addresses.of("kafka")
    with quiet(bootstrap):
        records = asyncio.run(read_all(bootstrap, [DeadLetter.topic, DeadLetterResolved.topic]))
    return letters_of(records)


def _chosen(
    ctx: typer.Context,
    letter_ids: Sequence[str] | None,
    every: bool,
    service: str | None,
    reason: str | None,
    again: bool,
) -> list[Letter]:
    if bool(letter_ids) == every:
        raise CommandFailed("name dead letters, or say --all")
    letters = _letters(ctx)
    wanted = _named(letters, letter_ids) if letter_ids else letters
    return [each for each in wanted if _fits(each, service, reason) and (again or each.resolved is None)]


def _named(letters: Sequence[Letter], letter_ids: Sequence[str]) -> list[Letter]:
    known = {each.id: each for each in letters}
    for letter_id in letter_ids:
        if letter_id not in known:
            raise UnknownLetter(letter_id)
    return [known[letter_id] for letter_id in dict.fromkeys(letter_ids)]


def _fits(each: Letter, service: str | None, reason: str | None) -> bool:
    return service in (None, each.letter.service) and reason in (None, each.letter.reason)


def _say(ctx: typer.Context, envelopes: Sequence[Envelope]) -> None:
    bootstrap = connection_of(ctx).addresses.of("kafka")

    async def publish() -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, acks="all", max_request_size=MAX_MESSAGE_BYTES
        )
        try:
            await producer.start()
            await say(producer, envelopes)
        finally:
            await producer.stop()

    with quiet(bootstrap):
        asyncio.run(publish())


def _as_json(each: Letter) -> dict[str, object]:
    letter = each.letter
    said = letter.model_dump(mode="json", exclude={"original_value", "original_headers"})
    return {"id": each.id, "resolved": each.resolved.action if each.resolved else None} | said


def _table(letters: Sequence[Letter]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("id", no_wrap=True)
    table.add_column("reason")
    table.add_column("tries", justify="right")
    for name in ("at", "error"):
        table.add_column(name)
    for each in letters:
        letter = each.letter
        done = f" ({each.resolved.action})" if each.resolved else ""
        table.add_row(
            each.id,
            letter.reason + done,
            str(letter.attempts),
            f"{letter.at:%m-%d %H:%M:%S}",
            redacted(letter.error[:160]),
        )
    return table
