"""The `imagegen` command line: its commands, global options and error handling."""

import sys
from pathlib import Path
from typing import Annotated

import typer
import typer.main
from pydantic import ValidationError
from typer.exceptions import TyperException

from clients.cli import chains, demo, dlq, generate, jobs, local, prompt, topics, webhooks
from clients.cli.addresses import Addresses, Server
from clients.cli.connection import Connection
from clients.cli.errors import STATUS_HINT, CommandFailed
from contracts.wording import error_text
from imagegen_client import ImagegenError, ServerUnavailable

SERVERS = "Addresses of the platform (default: the running local stack)"
HELP = "Request images, follow their progress, and run the whole platform on this machine."

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help=HELP,
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


@app.callback(help=HELP)
def connect(
    ctx: typer.Context,
    api_url: Annotated[str | None, _server("API", "IMAGEGEN_API_URL")] = None,
    notifier_url: Annotated[str | None, _server("notifier", "IMAGEGEN_NOTIFIER_URL")] = None,
    kafka: Annotated[str | None, _server("Kafka broker, host:port", "KAFKA_BOOTSTRAP")] = None,
    state: Annotated[
        Path, typer.Option(help="State folder of the local stack.", envvar="IMAGEGEN_STATE")
    ] = Path(".imagegen"),
    tenant: Annotated[
        str, typer.Option(help="Tenant that owns the jobs.", envvar="IMAGEGEN_TENANT")
    ] = "local",
    user: Annotated[str, typer.Option(help="User who makes the requests.", envvar="IMAGEGEN_USER")] = "cli",
    patience: Annotated[
        float,
        typer.Option(
            min=0,
            help="Seconds to repeat a request while a server is unavailable.",
            envvar="IMAGEGEN_PATIENCE",
        ),
    ] = 2.0,
) -> None:
    """Read the global options."""
    given: dict[Server, str | None] = {"api": api_url, "notifier": notifier_url, "kafka": kafka}
    ctx.obj = Connection(Addresses(given, state), tenant, user, patience)


_command = typer.main.get_command(app)


def run(arguments: list[str]) -> int:
    """Run a command line, print its error if there is one, and return the exit code."""
    try:
        return _command(arguments, prog_name="imagegen", standalone_mode=False) or 0
    except TyperException as error:
        return _fail(_worded(error).format_message(), error.exit_code)
    except CommandFailed as error:
        return _fail(str(error), error.exit_code)
    except ServerUnavailable as error:
        return _fail(f"{error}; {STATUS_HINT}", 1)
    except ImagegenError as error:
        return _fail(str(error), 1)
    except typer.Abort:
        raise KeyboardInterrupt from None


def _worded(error: TyperException) -> TyperException:
    """Replace pydantic's words about an option by those of the platform."""
    if isinstance(error.__cause__, ValidationError):
        error.message = error_text(error.__cause__.errors(include_input=False, include_url=False)[0])
    return error


def _fail(message: str, exit_code: int) -> int:
    if message:  # without one, the help has been printed
        print(f"imagegen: {message}", file=sys.stderr)
    return exit_code
