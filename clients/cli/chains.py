"""imagegen select, chain, character: from a chosen face to its LoRA and its pictures"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.console import Console

from clients.cli.chain_report import chain_with_steps, character_lines
from clients.cli.client import Client
from clients.cli.connection import client_of
from clients.cli.progress import live
from clients.cli.requests import selection
from contracts.http_chains import ChainView

POLL_SECONDS = 1.0


class ShowsByDefault(typer.core.TyperGroup):
    """`chain ID` is short for `chain show ID`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See click."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=ShowsByDefault,
    no_args_is_help=True,
    help="Watch, stop and resume a chain of jobs: chain ID · chain cancel ID · chain resume ID",
)

ChainId = Annotated[str, typer.Argument(help="The chain's id.", metavar="ID", show_default=False)]
CharacterId = Annotated[str, typer.Argument(metavar="CHARACTER_ID", help="Any id of yours.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Follow = Annotated[bool, typer.Option("--follow", help="Watch it until it ends.")]
File = typer.Option(metavar="FILE", show_default=False)


@app.command()
def show(ctx: typer.Context, chain_id: ChainId, follow: Follow = False, as_json: AsJson = False) -> None:
    """Show a chain, step by step. Also without the word: imagegen chain ID"""
    _run(ctx, lambda client: client.chain(chain_id), follow=follow, as_json=as_json)


@app.command()
def cancel(ctx: typer.Context, chain_id: ChainId) -> None:
    """Stop a chain and its jobs. What is delivered stays; it can be resumed."""
    view = asyncio.run(_once(ctx, lambda client: client.cancel_chain(chain_id)))
    typer.echo(
        f"{view.id} will be stopped" if view.state == "running" else f"{view.id} had ended: {view.state}"
    )


@app.command()
def resume(ctx: typer.Context, chain_id: ChainId, follow: Follow = False) -> None:
    """Try again what failed or was stopped, and go on from there."""
    view = asyncio.run(_once(ctx, lambda client: client.resume_chain(chain_id)))
    typer.echo(f"{view.id} is completed" if view.state == "completed" else f"{view.id} will go on")
    if follow and view.state != "completed":
        _run(ctx, lambda client: _moved(client, view), follow=True, as_json=False)


def select(
    ctx: typer.Context,
    character_id: CharacterId,
    base_image: Annotated[
        str, typer.Argument(metavar="BASE_IMAGE_ID", help="The chosen face, JOB_ID/INDEX.")
    ],
    then: Annotated[
        Path | None, typer.Option(help="A JSON list of what follows the sheet.", metavar="FILE")
    ] = None,
    character: Annotated[
        Path | None,
        typer.Option(help="A JSON file that says who it is; else as its job did.", metavar="FILE"),
    ] = None,
    nsfw: Annotated[bool, typer.Option("--nsfw", help="Allow explicit wording on the sheet.")] = False,
    follow: Follow = False,
    as_json: AsJson = False,
) -> None:
    """Choose the face of a character: its sheet is drawn, its LoRA trained, or what --then says.

    imagegen select $(uuidgen) JOB_ID/1 --follow
    """
    chosen, key = selection(base_image, nsfw=nsfw, character=character, then=then), str(uuid4())
    _run(ctx, lambda client: client.select(character_id, chosen, key), follow=follow, as_json=as_json)


def character(ctx: typer.Context, character_id: CharacterId, as_json: AsJson = False) -> None:
    """A stored character: its face, its sheet, its LoRA."""

    async def ask() -> Any:
        async with client_of(ctx) as client:
            return await client.character(character_id)

    view = asyncio.run(ask())
    if as_json:
        print(json.dumps(view.model_dump(mode="json"), indent=2, ensure_ascii=False))
        return
    for line in character_lines(view):
        typer.echo(line)


Ask = Callable[[Client], Coroutine[Any, Any, ChainView]]


async def _once(ctx: typer.Context, ask: Ask) -> ChainView:
    async with client_of(ctx) as client:
        return await ask(client)


def _run(ctx: typer.Context, ask: Ask, *, follow: bool, as_json: bool) -> None:
    """Ask, watch where wished, print; exit code 1 when a chain that was watched did not complete."""
    seen: list[ChainView] = []
    try:
        asyncio.run(_watch(ctx, ask, seen, follow=follow))
    except KeyboardInterrupt:
        if seen:
            typer.echo(f"\nIt goes on without you. Look with: imagegen chain {seen[-1].id}", err=True)
            typer.echo(f"Stop it with: imagegen chain cancel {seen[-1].id}", err=True)
        raise
    view = seen[-1]
    if as_json:
        print(json.dumps(view.model_dump(mode="json"), indent=2, ensure_ascii=False))
    else:
        Console(highlight=False).print(chain_with_steps(view), soft_wrap=True)
    if follow and view.state != "completed":
        raise typer.Exit(1)


async def _watch(ctx: typer.Context, ask: Ask, seen: list[ChainView], *, follow: bool) -> None:
    async with client_of(ctx) as client:
        seen.append(await ask(client))
        with live(Console(stderr=True), lambda: chain_with_steps(seen[-1])):
            while follow and seen[-1].state == "running":
                await asyncio.sleep(POLL_SECONDS)
                seen.append(await client.chain(seen[-1].id))


async def _moved(client: Client, before: ChainView) -> ChainView:
    """The chain once it has heard of its resumption."""
    view = await client.chain(before.id)
    while view == before:
        await asyncio.sleep(POLL_SECONDS)
        view = await client.chain(before.id)
    return view
