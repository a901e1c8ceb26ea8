"""The receivers of docs/webhooks.md, run unchanged, verify real deliveries of the notifier."""

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from services.notifier.deliveries import delivery_of
from services.notifier.links import LinkedEvents
from services.notifier.posting import Poster, secret_of, webhook_client
from shared.clock import now
from tests.docs.blocks import blocks_of
from tests.fakes.jobs import an_event
from tests.fakes.notifier import FakeLinks

OURS = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
RECEIVERS = {"python": "receiver.py", "javascript": "receiver.mjs"}
EVENT = an_event("image_ready", 3)
PROGRAMS = {"python": sys.executable, "javascript": shutil.which("node")}


@asynccontextmanager
async def receiver(language: str, folder: Path) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """Yield the address and process of a receiver from the guide."""
    program = PROGRAMS[language]
    if program is None:
        pytest.skip("node is not installed: the receiver for Node was not run")
    [block] = [each for each in blocks_of("docs/webhooks.md") if each.language == language]
    file = folder / RECEIVERS[language]
    file.write_text(block.text, encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        program,
        str(file),
        str(port),
        env={"PATH": os.environ["PATH"], "WEBHOOK_SECRET": secret_of("acme", OURS)},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await listens(port)
        yield f"http://127.0.0.1:{port}/", process
    finally:
        process.kill()
        await process.wait()


async def listens(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


def poster(client: httpx.AsyncClient, secret: str = OURS) -> Poster:
    return Poster(client, secret, LinkedEvents(FakeLinks(), now, 3600).relinked, timeout_seconds=5)


@pytest.mark.parametrize("language", RECEIVERS)
async def test_a_receiver_takes_a_real_delivery_and_reads_its_link(language: str, tmp_path: Path) -> None:
    async with (
        receiver(language, tmp_path) as (url, process),
        webhook_client(private_hosts=True, connections=1) as client,
    ):
        outcome = await poster(client).post(delivery_of(EVENT, url, now()))
        assert (outcome.status, outcome.error) == (204, None)
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 5)
    assert EVENT.image
    assert EVENT.image.stored
    assert line.decode().split() == ["3", "image_ready", f"https://bucket.example/{EVENT.image.stored.key}"]


@pytest.mark.parametrize("language", RECEIVERS)
async def test_a_receiver_refuses_webhooks_with_a_wrong_signature(language: str, tmp_path: Path) -> None:
    sent: list[httpx.Request] = []

    def record(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(204)

    async with httpx.AsyncClient(transport=httpx.MockTransport(record)) as recorder:
        await poster(recorder).post(delivery_of(EVENT, "http://shop.example/", now()))
    [good] = sent
    headers = {name: value for name, value in good.headers.items() if name.startswith("webhook-")}
    body = good.content
    old = headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) - 400)}
    wrong = {
        "another body": (headers, body + b" "),
        "another id": (headers | {"webhook-id": "x"}, body),
        "an old time": (old, body),
        "no time": (headers | {"webhook-timestamp": ""}, body),
        "no signature": (headers | {"webhook-signature": ""}, body),
        "odd signatures": (headers | {"webhook-signature": "v1 v1, v2,x ,"}, body),
    }
    async with (
        receiver(language, tmp_path) as (url, _),
        webhook_client(private_hosts=True, connections=1) as client,
        httpx.AsyncClient(trust_env=False, verify=False) as http,
    ):
        statuses = {
            name: (await http.post(url, content=data, headers=of)).status_code
            for name, (of, data) in wrong.items()
        }
        other = await poster(client, "whsec_" + "A" * 32).post(delivery_of(EVENT, url, now()))
        several = headers | {"webhook-signature": f"v1,bm8= {headers['webhook-signature']}"}
        accepted = (await http.post(url, content=body, headers=several)).status_code
    assert statuses == dict.fromkeys(wrong, 401)
    assert (other.status, accepted) == (401, 204)
