"""imagegen up, down, status: the whole platform on this machine"""

from typing import Annotated

import typer

from clients.cli.connection import connection_of
from clients.cli.errors import NotInstalled
from clients.cli.folders import check_folder


def up(
    ctx: typer.Context,
    latency_seconds: Annotated[float, typer.Option(min=0, help="How long a simulated render takes.")] = 0.5,
    instances: Annotated[str, typer.Option(help="Of each service: 2, or dispatcher=2,api=1.")] = "1",
    comfyui: Annotated[str | None, typer.Option(metavar="URL", help="A real ComfyUI server.")] = None,
    modal: Annotated[
        str | None, typer.Option(metavar="URL", help="Our application on Modal; MODAL_KEY, MODAL_SECRET.")
    ] = None,
    fal: Annotated[bool, typer.Option("--fal", help="The real Fal, which costs money; FAL_KEY.")] = False,
) -> None:
    """Start everything in the background: broker, stores, services, and simulators of unnamed providers."""
    check_folder(connection_of(ctx).addresses.state, "--state")
    options = ["--latency-seconds", str(latency_seconds), "--instances", instances]
    options += ["--comfyui", comfyui] if comfyui else []
    options += ["--modal", modal] if modal else []
    _hand_over(ctx, "up", *options, *(["--fal"] if fal else []))


def down(ctx: typer.Context) -> None:
    """Stop everything, and wait until it is gone."""
    _hand_over(ctx, "down")


def status(
    ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Show what runs, and where."""
    _hand_over(ctx, "status", *(["--json"] if as_json else []))


def _hand_over(ctx: typer.Context, command: str, *options: str) -> None:
    try:
        from deploy.local.__main__ import main
    except ModuleNotFoundError as missing:
        raise NotInstalled(missing.name) from None
    raise typer.Exit(main([command, "--state", str(connection_of(ctx).addresses.state), *options]))
