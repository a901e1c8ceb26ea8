"""The HTTP server of every process: a load balancer may keep a connection for longer than a minute."""

import asyncio

from fastapi import FastAPI

from shared.http.front import HttpServer
from shared.settings import ProcessSettings


async def test_a_connection_that_was_idle_for_75_seconds_is_used_again() -> None:
    app = FastAPI()

    @app.get("/")
    async def index() -> str:
        return "here"

    server = HttpServer(app, ProcessSettings(), 1.0)
    host, _, port = (await server.listen()).rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for pause in (4.95, 75.0, 0.0):
            writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            answer = await reader.readuntil(b'"here"')
            assert answer.startswith(b"HTTP/1.1 200"), pause
            await asyncio.sleep(pause)
    finally:
        writer.close()
        await server.stop()
