"""`imagegen demo` with killed services, with Ctrl-C, and with a Kafka of its user."""

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from deploy.local.ports import is_free
from deploy.local.services import SERVICES

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]


async def start_demo(folder: Path, **variables: str) -> asyncio.subprocess.Process:
    command = ["-m", "clients.cli", "demo", "--out", str(folder / "out"), "--state", str(folder / "state")]
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


def state_of(folder: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        state: dict[str, Any] = json.loads((folder / "state" / "stack.json").read_text())
        return state
    return {}


async def ready(folder: Path, seconds: float = 120.0) -> dict[str, Any]:
    async with asyncio.timeout(seconds):
        while (state := state_of(folder)).get("phase") != "ready":
            await asyncio.sleep(0.1)
    return state


def processes_of(token: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if (
                entry.name.isdigit()
                and f"IMAGEGEN_STACK={token}".encode() in (entry / "environ").read_bytes()
            ):
                found.append(int(entry.name))
    return found


@pytest.mark.timeout(600)
async def test_the_demo_completes_although_every_service_is_killed_once(tmp_path: Path) -> None:
    demo = await start_demo(tmp_path)
    state = await ready(tmp_path)
    for name in SERVICES:
        os.kill(state["processes"][name]["pid"], signal.SIGKILL)
        await asyncio.sleep(1.0)
    output, _ = await asyncio.wait_for(demo.communicate(), 200)
    last = json.loads(output.decode().splitlines()[-1])
    assert demo.returncode == 0, output.decode()
    assert last["jobs"] == last["completed"] == 11
    assert (last["failed"], last["loras"]) == (0, 1)
    assert len(list((tmp_path / "out" / "images").rglob("*.png"))) == last["images"] >= 20
    assert "<img" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.timeout(400)
async def test_ctrl_c_leaves_no_process_and_no_port(tmp_path: Path) -> None:
    demo = await start_demo(tmp_path)
    state = await ready(tmp_path)
    assert processes_of(state["token"])
    demo.send_signal(signal.SIGINT)
    await asyncio.wait_for(demo.communicate(), 60)
    assert demo.returncode == 130
    assert processes_of(state["token"]) == []
    assert all(is_free(port) for port in state["ports"].values())


@pytest.mark.timeout(400)
async def test_the_demo_uses_the_kafka_of_its_user_and_starts_none(tmp_path: Path, kafka: str) -> None:
    demo = await start_demo(tmp_path, KAFKA_BOOTSTRAP=kafka)
    state = await ready(tmp_path)
    output, _ = await asyncio.wait_for(demo.communicate(), 200)
    assert demo.returncode == 0, output.decode()
    assert "kafka" not in state["processes"]
    assert state["environment"]["KAFKA_BOOTSTRAP"] == kafka
    assert f"Using the Kafka at {kafka}" in output.decode()
    async with AIOKafkaConsumer(bootstrap_servers=kafka) as consumer:
        assert "job.events.v1" in await consumer.topics()
