"""The HTTP server of every process: connections that stay idle for a minute, bodies in tiny chunks."""

import asyncio

from fastapi import FastAPI, Request

from shared.http.front import HttpServer
from shared.settings import ProcessSettings
from tests.fakes.loop_holds import longest_hold


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


async def test_a_body_in_chunks_of_one_byte_does_not_hold_the_event_loop() -> None:
    app = FastAPI()

    @app.post("/")
    async def size(request: Request) -> int:
        return len(await request.body())

    server = HttpServer(app, ProcessSettings(), 1.0)
    host, _, port = (await server.listen()).rpartition(":")
    head = b"POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def post() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n")
        assert (await reader.read()).endswith(b"\r\n\r\n50000")
        writer.close()

    try:
        assert await longest_hold(post, 0.1) < 0.1
    finally:
        await server.stop()
