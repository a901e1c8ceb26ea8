"""imagegen: ask for images, watch them come, run the platform on this machine"""

import sys
from pathlib import Path
from typing import Annotated

import typer
import typer.main
from typer.exceptions import TyperException

from clients.cli import chains, demo, dlq, generate, jobs, local, prompt, topics, webhooks
from clients.cli.addresses import Addresses, Server
from clients.cli.connection import Connection
from clients.cli.errors import CommandFailed

SERVERS = "Where the platform is (default: the local stack that runs)"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Ask for images, watch them come, run the whole platform on this machine.",
)
app.add_typer(generate.app, name="generate")
app.add_typer(prompt.app, name="prompt")
app.add_typer(chains.app, name="chain")
app.add_typer(dlq.app, name="dlq")
app.add_typer(webhooks.app, name="webhooks")
for command in (
    demo.demo,
    jobs.job,
    jobs.jobs,
    jobs.cancel,
    chains.character,
    chains.select,
    topics.topics,
    local.up,
    local.down,
    local.status,
):
    app.command()(command)


def _server(name: str, variable: str) -> object:
    return typer.Option(
        help=f"Address of the {name}.", envvar=variable, rich_help_panel=SERVERS, show_default=False
    )


@app.callback()
def connect(
    ctx: typer.Context,
    api_url: Annotated[str | None, _server("api", "IMAGEGEN_API_URL")] = None,
    notifier_url: Annotated[str | None, _server("notifier", "IMAGEGEN_NOTIFIER_URL")] = None,
    kafka: Annotated[str | None, _server("Kafka broker, host:port", "KAFKA_BOOTSTRAP")] = None,
    state: Annotated[
        Path, typer.Option(help="State folder of the local stack.", envvar="IMAGEGEN_STATE")
    ] = Path(".imagegen"),
    tenant: Annotated[str, typer.Option(help="Whose jobs.", envvar="IMAGEGEN_TENANT")] = "local",
    user: Annotated[str, typer.Option(help="As which user.", envvar="IMAGEGEN_USER")] = "cli",
    patience: Annotated[
        float,
        typer.Option(min=0, help="Seconds to wait for an api that is away.", envvar="IMAGEGEN_PATIENCE"),
    ] = 2.0,
) -> None:
    """Ask for images, watch them come, run the whole platform on this machine."""
    given: dict[Server, str | None] = {"api": api_url, "notifier": notifier_url, "kafka": kafka}
    ctx.obj = Connection(Addresses(given, state), tenant, user, patience)


_command = typer.main.get_command(app)


def run(arguments: list[str]) -> int:
    """The exit code of a command line."""
    try:
        return _command(arguments, prog_name="imagegen", standalone_mode=False) or 0
    except TyperException as error:
        return _fail(error.format_message(), error.exit_code)
    except CommandFailed as error:
        return _fail(str(error), error.exit_code)
    except typer.Abort:
        raise KeyboardInterrupt from None


def _fail(message: str, exit_code: int) -> int:
    if message:  # the help was printed where there is none
        print(f"imagegen: {message}", file=sys.stderr)
    return exit_code
