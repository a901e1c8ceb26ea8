"""The local stack with servers only: it starts, answers, restarts and leaves no process."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import aioboto3
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from motor.motor_asyncio import AsyncIOMotorClient

from deploy.local.brokers import Broker
from deploy.local.ports import GRPC_OFFSET, is_free
from deploy.local.processes import ProcessFailed
from deploy.local.providers import real_providers
from deploy.local.servers import STORES
from deploy.local.stack import Stack, StackOptions
from deploy.local.state import TOKEN_VARIABLE, AlreadyRunning, StateFolder

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]
NAMES = (*Broker.of(None).names, *STORES)


def servers_only(state: Path, services: tuple[str, ...] = ()) -> StackOptions:
    return StackOptions(state=state, simulators=(), services=services)


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with Stack(servers_only(tmp_path / "state")) as running:
        yield running


@pytest.fixture
def detached(tmp_path: Path) -> Iterator[Path]:
    """Yield a stack started from the command line."""
    state = tmp_path / "state"
    up = local("up", "--state", str(state), "--only", "servers")
    assert up.returncode == 0, up.stderr
    assert all(f"{name} is ready at " in up.stdout for name in NAMES), up.stdout
    yield state
    local("down", "--state", str(state))


def local(*arguments: str, shell: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.local", *arguments],
        check=False,
        cwd=ROOT,
        env={**os.environ, **(shell or {})},
        capture_output=True,
        text=True,
        timeout=120,
    )


def ports_of(state: Path) -> list[int]:
    chosen = StateFolder(state).read().ports
    with_grpc = [port + GRPC_OFFSET for name, port in chosen.items() if name.startswith("s3.")]
    return [*chosen.values(), *with_grpc]


def carriers(state: Path) -> list[int]:
    """Return every process that this stack started."""
    mark = f"{TOKEN_VARIABLE}={StateFolder(state).read().token}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def nothing_is_left(state: Path) -> bool:
    return not carriers(state) and all(is_free(port) for port in ports_of(state))


def listeners() -> list[tuple[str, int]]:
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    addresses = [row[1].split(":") for row in rows if row[3] == "0A"]
    return [(host, int(port, 16)) for host, port in addresses]


def eventually(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def object_store(environment: dict[str, str]) -> Any:
    return aioboto3.Session().client(
        "s3",
        endpoint_url=environment["S3_ENDPOINT"],
        aws_access_key_id=environment["S3_ACCESS_KEY"],
        aws_secret_access_key=environment["S3_SECRET_KEY"],
        region_name=environment["S3_REGION"],
    )


async def test_a_message_is_read_back_from_the_broker(stack: Stack) -> None:
    bootstrap = stack.environment["KAFKA_BOOTSTRAP"]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("greetings", num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait("greetings", b"hello", key=b"k")
    options = {"bootstrap_servers": bootstrap, "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer("greetings", **options) as consumer:
        record = await asyncio.wait_for(consumer.getone(), 10)
    assert (record.key, record.value) == (b"k", b"hello")


async def test_an_object_is_read_back_from_the_bucket(stack: Stack) -> None:
    bucket = stack.environment["S3_BUCKET"]
    async with object_store(stack.environment) as client:
        await client.put_object(Bucket=bucket, Key="a/b.png", Body=b"png")
        found = await client.get_object(Bucket=bucket, Key="a/b.png")
        assert await found["Body"].read() == b"png"


async def test_a_killed_database_restarts_with_its_data(stack: Stack) -> None:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(stack.environment["MONGO_URL"])
    try:
        jobs = client[stack.environment["MONGO_DATABASE"]]["jobs"]
        await jobs.insert_one({"_id": "j1", "status": "pending"})
        killed = stack.processes["mongo"].pid
        await stack.kill("mongo", signal.SIGKILL)
        await stack.wait_ready("mongo")
        assert await jobs.find_one({"_id": "j1"}) == {"_id": "j1", "status": "pending"}
    finally:
        client.close()
    mongo = stack.processes["mongo"]
    assert (mongo.restarts, mongo.pid == killed) == (1, False)


async def test_a_killed_object_store_restarts_with_its_data(stack: Stack) -> None:
    bucket = stack.environment["S3_BUCKET"]
    async with object_store(stack.environment) as client:
        await client.put_object(Bucket=bucket, Key="kept", Body=b"kept")
        await stack.kill("s3", signal.SIGKILL)
        await stack.wait_ready("s3")
        found = await client.get_object(Bucket=bucket, Key="kept")
        assert await found["Body"].read() == b"kept"


async def test_stored_data_survives_a_stop(tmp_path: Path) -> None:
    options = servers_only(tmp_path / "state")
    async with Stack(options) as first, object_store(first.environment) as client:
        await client.put_object(Bucket="imagegen", Key="kept", Body=b"kept")
    async with Stack(options) as second, object_store(second.environment) as client:
        found = await client.get_object(Bucket="imagegen", Key="kept")
        assert await found["Body"].read() == b"kept"
    assert first.environment["S3_SECRET_KEY"] == second.environment["S3_SECRET_KEY"]


async def test_everything_listens_on_loopback_only(stack: Stack) -> None:
    ports = ports_of(stack.folder.path)
    hosts = {host for host, port in listeners() if port in ports}
    assert hosts == {socket.inet_aton("127.0.0.1")[::-1].hex().upper()}


async def test_two_stacks_run_side_by_side(stack: Stack, tmp_path: Path) -> None:
    async with Stack(servers_only(tmp_path / "other")) as other:
        assert set(other.addresses.values()).isdisjoint(stack.addresses.values())


async def test_a_second_stack_in_the_same_folder_is_refused(stack: Stack) -> None:
    with pytest.raises(AlreadyRunning, match="already running"):
        async with Stack(stack.options):
            pass


async def test_a_service_that_cannot_start_is_reported_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match=r"(?s)no_such_service .*exited with 1.*No module"):
        async with Stack(servers_only(tmp_path / "state", services=("no_such_service",))):
            pass
    assert nothing_is_left(tmp_path / "state")


def test_the_command_line_starts_shows_and_stops_a_stack(detached: Path) -> None:
    again = local("up", "--state", str(detached), "--only", "servers")
    assert (again.returncode, "already running" in again.stderr) == (1, True)
    shown = json.loads(local("status", "--state", str(detached), "--json").stdout)
    assert {name: each["ready"] for name, each in shown["processes"].items()} == dict.fromkeys(NAMES, True)
    assert (detached / "stack.json").stat().st_mode & 0o777 == 0o600
    assert local("down", "--state", str(detached)).returncode == 0
    assert nothing_is_left(detached)
    assert not any(path.exists() for path in StateFolder(detached).read().sockets)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_in_order(detached: Path, number: signal.Signals) -> None:
    folder = StateFolder(detached)
    os.kill(folder.holder() or 0, number)
    assert eventually(lambda: folder.holder() is None)
    assert nothing_is_left(detached)
    assert folder.read().phase == "stopped"


def test_no_process_survives_a_killed_supervisor(detached: Path) -> None:
    assert len(carriers(detached)) == len(NAMES)
    os.kill(StateFolder(detached).holder() or 0, signal.SIGKILL)
    assert eventually(lambda: nothing_is_left(detached), 3)
    assert local("up", "--state", str(detached), "--only", "servers").returncode == 0


def test_status_without_a_stack_is_a_sentence(tmp_path: Path) -> None:
    status = local("status", "--state", str(tmp_path / "state"))
    assert (status.returncode, status.stderr) == (3, "")
    assert status.stdout.startswith("No stack is running in ")


def environment_of(pid: int | None) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(line.split("=", 1) for line in lines if line)


async def test_a_named_provider_is_not_simulated_and_a_restarted_gateway_still_uses_it(
    tmp_path: Path, kafka: str
) -> None:
    fal = {"FAL_KEY": "id:hunter2", "FAL_QUEUE_URL": "http://127.0.0.1:9"}
    shell = {"COMFYUI_BASE_URL": "http://127.0.0.1:9", **fal}
    gateways = ("gateways.comfyui", "gateways.fal")
    options = StackOptions(
        state=tmp_path / "state",
        bootstrap=kafka,
        services=gateways,
        real=real_providers(shell),
    )
    async with Stack(options) as stack:
        assert set(stack.processes) == {*STORES, "modal", *gateways}
        await stack.kill("gateways.comfyui")
        await stack.wait_ready("gateways.comfyui")
        own = environment_of(stack.processes["gateways.comfyui"].pid)
        assert own["COMFYUI_BASE_URL"] == "http://127.0.0.1:9"
        assert environment_of(stack.processes["gateways.fal"].pid)["FAL_KEY"] == "id:hunter2"
        assert "FAL_WEBHOOK_BASE_URL" not in own
    assert "hunter2" not in (tmp_path / "state" / "stack.json").read_text()


async def test_a_stack_on_a_broker_elsewhere_starts_none_and_leaves_it_running(
    tmp_path: Path, kafka: str
) -> None:
    options = StackOptions(state=tmp_path / "state", bootstrap=kafka, stores=(), simulators=(), services=())
    async with Stack(options) as stack:
        assert stack.processes == {}
        assert stack.environment["KAFKA_BOOTSTRAP"] == kafka
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        assert producer.client.cluster.brokers()


def test_up_on_a_broker_elsewhere_does_not_download_kafka(tmp_path: Path, kafka: str) -> None:
    state, cache = tmp_path / "state", tmp_path / "cache"
    nowhere = {
        "KAFKA_BOOTSTRAP": kafka,
        "MAVEN_REPOSITORY": "http://127.0.0.1:1",
        "XDG_CACHE_HOME": str(cache),
    }
    up = local("up", "--state", str(state), "--only", "servers", shell=nowhere)
    try:
        assert up.returncode == 0, up.stderr
        assert kafka in up.stdout
        assert not cache.exists()
    finally:
        local("down", "--state", str(state))
