"""imagegen up, down, status: run the whole platform on this machine"""

from typing import Annotated

import typer

from clients.cli.connection import connection_of
from clients.cli.errors import NotInstalled
from clients.cli.output_folders import check_folder


def up(
    ctx: typer.Context,
    latency_seconds: Annotated[
        float, typer.Option(min=0, help="Duration of a simulated render, in seconds.")
    ] = 0.5,
    instances: Annotated[
        str, typer.Option(help="Number of processes per service: 2, or dispatcher=2,api=1.")
    ] = "1",
    comfyui: Annotated[str | None, typer.Option(metavar="URL", help="Use this ComfyUI server.")] = None,
    modal: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Use this Modal application; needs MODAL_KEY and MODAL_SECRET."),
    ] = None,
    fal: Annotated[
        bool, typer.Option("--fal", help="Use the real Fal, which costs money; needs FAL_KEY.")
    ] = False,
) -> None:
    """Start broker, stores and services in the background, with simulators of all providers not given."""
    check_folder(connection_of(ctx).addresses.state, "--state")
    options = ["--latency-seconds", str(latency_seconds), "--instances", instances]
    options += ["--comfyui", comfyui] if comfyui else []
    options += ["--modal", modal] if modal else []
    _run_stack_command(ctx, "up", *options, *(["--fal"] if fal else []))


def down(ctx: typer.Context) -> None:
    """Stop the local stack and wait until all its processes have ended."""
    _run_stack_command(ctx, "down")


def status(
    ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """List the processes of the local stack with their addresses."""
    _run_stack_command(ctx, "status", *(["--json"] if as_json else []))


def _run_stack_command(ctx: typer.Context, command: str, *options: str) -> None:
    try:
        from deploy.local.__main__ import main
    except ModuleNotFoundError as missing:
        raise NotInstalled(missing.name) from None
    raise typer.Exit(main([command, "--state", str(connection_of(ctx).addresses.state), *options]))
