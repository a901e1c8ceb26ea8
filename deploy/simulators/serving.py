"""Serve a simulator from the command line or inside a test's event loop."""

import argparse
import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from deploy.simulators.behaviour import Behaviour

HOST = "127.0.0.1"


class ClosableProtocol(H11Protocol):
    """Adds the transport to the scope, so that a fault can close the connection without an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        inner: Any = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            await inner({**scope, "transport": transport}, receive, send)

        self.app = with_transport


def configure(app: ASGIApp, port: int = 0) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=HOST,
        port=port,
        loop="uvloop",
        http=ClosableProtocol,
        ws="websockets-sansio",
        log_config=None,
        log_level="critical",
        access_log=False,
        timeout_graceful_shutdown=0,
    )


def serve(
    name: str,
    build: Callable[[Behaviour, argparse.Namespace], ASGIApp],
    *,
    defaults: Behaviour,
    more: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
    arguments: Sequence[str] | None = None,
) -> None:
    """Run the command line of a simulator: a port, and an option for each field of Behaviour."""
    parser = argparse.ArgumentParser(
        prog=f"python -m deploy.simulators.{name}", description=f"Simulator of {name}."
    )
    parser.add_argument("--port", type=int, required=True)
    for field, about in Behaviour.model_fields.items():
        option = "--" + field.replace("_", "-")
        if about.annotation is bool:
            parser.add_argument(option, action=argparse.BooleanOptionalAction)
        else:
            parser.add_argument(option, nargs="*" if field == "next_faults" else None)
    more(parser)
    options = parser.parse_args(arguments)
    given = {field: getattr(options, field) for field in Behaviour.model_fields}
    patch = {field: value for field, value in given.items() if value is not None}
    try:
        behaviour = Behaviour.model_validate(defaults.model_dump() | patch)
    except ValidationError as error:
        parser.error(str(error))
    print(f"{name} simulator on http://{HOST}:{options.port}", flush=True)
    uvicorn.Server(configure(build(behaviour, options), options.port)).run()


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncIterator[str]:
    """Serve on a free port of this event loop, without signal handlers, and yield the base URL."""
    # The explicit protocol makes asyncio disable Nagle's algorithm.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind((HOST, 0))
    config = configure(app)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        await _stop(server)
        listener.close()


async def _stop(server: uvicorn.Server) -> None:
    """Stop at once. Uvicorn's own shutdown sleeps, which would slow down many small tests."""
    for listening in server.servers:
        listening.close()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    tasks = list(server.server_state.tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await server.lifespan.shutdown()
    await asyncio.sleep(0)
