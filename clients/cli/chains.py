"""imagegen select, chain, character: choose a base image, follow its chain, show characters"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from clients.cli.chain_report import chain_with_steps, character_lines
from clients.cli.connection import connection_of
from clients.cli.progress_display import live
from clients.cli.submissions import selection
from contracts.http_chains import ChainView
from imagegen_client import Client

POLL_SECONDS = 1.0


class ShowsByDefault(typer.core.TyperGroup):
    """Group in which `chain ID` is short for `chain show ID`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert `show` before arguments that do not begin with a command."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=ShowsByDefault,
    no_args_is_help=True,
    help="Show, cancel and resume a chain of jobs: chain ID · chain cancel ID · chain resume ID",
)

ChainId = Annotated[str, typer.Argument(help="Id of the chain.", metavar="ID", show_default=False)]
CharacterId = Annotated[str, typer.Argument(metavar="CHARACTER_ID", help="Your id for the character.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Follow = Annotated[bool, typer.Option("--follow", help="Follow it until it ends.")]
File = typer.Option(metavar="FILE", show_default=False)


@app.command()
def show(ctx: typer.Context, chain_id: ChainId, follow: Follow = False, as_json: AsJson = False) -> None:
    """Show a chain and its steps. Short form: imagegen chain ID"""
    _run(ctx, lambda client: client.chain(chain_id), follow=follow, as_json=as_json)


@app.command()
def cancel(ctx: typer.Context, chain_id: ChainId) -> None:
    """Cancel a chain and its jobs. Delivered images are kept; the chain can be resumed."""
    view = asyncio.run(_once(ctx, lambda client: client.cancel_chain(chain_id)))
    typer.echo(
        f"{view.id} is being cancelled"
        if view.state == "running"
        else f"{view.id} had already ended: {view.state}"
    )


@app.command()
def resume(ctx: typer.Context, chain_id: ChainId, follow: Follow = False) -> None:
    """Retry the failed or cancelled step and continue with the next ones."""
    view = asyncio.run(_once(ctx, lambda client: client.resume_chain(chain_id)))
    typer.echo(f"{view.id} is completed" if view.state == "completed" else f"{view.id} is being resumed")
    if follow and view.state != "completed":
        _run(ctx, lambda client: _resumed(client, view), follow=True, as_json=False)


def select(
    ctx: typer.Context,
    character_id: CharacterId,
    base_image: Annotated[
        str, typer.Argument(metavar="BASE_IMAGE_ID", help="Id of the chosen image, JOB_ID/INDEX.")
    ],
    then: Annotated[
        Path | None, typer.Option(help="JSON list of the requests that follow the sheet.", metavar="FILE")
    ] = None,
    character: Annotated[
        Path | None,
        typer.Option(
            help="JSON file that describes the character; the default is its job's description.",
            metavar="FILE",
        ),
    ] = None,
    nsfw: Annotated[bool, typer.Option("--nsfw", help="Allow explicit wording on the sheet.")] = False,
    follow: Follow = False,
    as_json: AsJson = False,
) -> None:
    """Choose the base image of a character and start its chain: sheet, then LoRA or the requests of --then.

    imagegen select $(uuidgen) JOB_ID/1 --follow
    """
    chosen = selection(base_image, nsfw=nsfw, character=character, then=then)
    _run(ctx, lambda client: client.select_base_image(character_id, chosen), follow=follow, as_json=as_json)


def character(ctx: typer.Context, character_id: CharacterId, as_json: AsJson = False) -> None:
    """Show a stored character: its base image, sheet and LoRA."""

    async def read() -> Any:
        async with connection_of(ctx).client("api") as client:
            return await client.character(character_id)

    view = asyncio.run(read())
    if as_json:
        print(json.dumps(view.model_dump(mode="json"), indent=2, ensure_ascii=False))
        return
    for line in character_lines(view):
        typer.echo(line)


Operation = Callable[[Client], Coroutine[Any, Any, ChainView]]


async def _once(ctx: typer.Context, operation: Operation) -> ChainView:
    async with connection_of(ctx).client("api") as client:
        return await operation(client)


def _run(ctx: typer.Context, operation: Operation, *, follow: bool, as_json: bool) -> None:
    """Call the operation, follow its chain if requested, and print it.

    Raises:
        Exit: with code 1 when the chain was followed and did not complete.
    """
    views: list[ChainView] = []
    try:
        asyncio.run(_follow(ctx, operation, views, follow=follow))
    except KeyboardInterrupt:
        if views:
            typer.echo(f"\nThe chain continues. To show it: imagegen chain {views[-1].id}", err=True)
            typer.echo(f"To cancel it: imagegen chain cancel {views[-1].id}", err=True)
        raise
    view = views[-1]
    if as_json:
        print(json.dumps(view.model_dump(mode="json"), indent=2, ensure_ascii=False))
    else:
        Console(highlight=False).print(chain_with_steps(view), soft_wrap=True)
    if follow and view.state != "completed":
        raise typer.Exit(1)


async def _follow(ctx: typer.Context, operation: Operation, views: list[ChainView], *, follow: bool) -> None:
    async with connection_of(ctx).client("api") as client:
        views.append(await operation(client))
        with live(Console(stderr=True), lambda: chain_with_steps(views[-1])):
            while follow and views[-1].state == "running":
                await asyncio.sleep(POLL_SECONDS)
                views.append(await client.chain(views[-1].id))


async def _resumed(client: Client, before: ChainView) -> ChainView:
    """Return the chain once its state has changed."""
    view = await client.chain(before.id)
    while view == before:
        await asyncio.sleep(POLL_SECONDS)
        view = await client.chain(before.id)
    return view
