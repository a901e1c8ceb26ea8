"""imagegen dlq on a real broker: list, replay and drop dead letters."""

import asyncio
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from contracts.generation import GenerationCancel
from deploy.local.stack import Stack
from shared.envelope import Outgoing, Received
from shared.errors import PermanentError
from shared.ids import uuid7
from shared.service import Service
from shared.settings import KafkaSettings, ProcessSettings
from tests.integration.workers import kafka_settings

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


class Broken(PermanentError):
    """An error of a handler with a bug."""

    reason = "handler_bug"


class Faulty:
    """A service whose handler fails until it is repaired."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.repaired = False
        self.handled: list[str] = []
        self.tried = 0
        self.service = Service("faulty", kafka, ProcessSettings())
        self.service.subscribe(GenerationCancel, group="faulty")(self.handle)

    async def handle(self, batch: Sequence[Received[GenerationCancel]]) -> Iterable[Outgoing]:
        self.tried += len(batch)
        if not self.repaired:
            raise Broken("not repaired")
        self.handled += [received.message.job_id for received in batch]
        return []


async def imagegen(stack: Stack, *arguments: str) -> tuple[int, str]:
    """Run a command in a process of its own and return its exit code and output."""

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "clients.cli",
        "--kafka",
        stack.environment["KAFKA_BOOTSTRAP"],
        "dlq",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=Path(__file__).parents[2],
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, output.decode()


async def listed(stack: Stack, *more: str) -> list[dict[str, object]]:
    code, output = await imagegen(stack, "list", "--json", "--service", "faulty", *more)
    assert code == 0, output
    return [json.loads(line) for line in output.splitlines()]


async def until_listed(stack: Stack, count: int) -> list[dict[str, object]]:
    async with asyncio.timeout(60):
        while len(found := await listed(stack)) < count:
            await asyncio.sleep(0.2)
    return found


async def test_dead_letters_are_listed_replayed_once_and_dropped(servers: Stack) -> None:
    kafka = kafka_settings(servers)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    faulty = Faulty(kafka)
    async with faulty.service:
        await faulty.service.listen()
        jobs = [uuid7(), uuid7()]
        for job_id in jobs:
            value = json.dumps({"job_id": job_id, "tenant": "t", "reason": job_id}).encode()
            await producer.send_and_wait(GenerationCancel.topic, value, key=job_id.encode())
        await producer.stop()
        dead_letters = await until_listed(servers, 2)
        assert {dead_letter["reason"] for dead_letter in dead_letters} == {"handler_bug"}
        assert {dead_letter["attempts"] for dead_letter in dead_letters} == {1}
        ids = [str(dead_letter["id"]) for dead_letter in dead_letters]

        assert (await imagegen(servers, "replay", ids[0]))[0] == 0  # it fails again and returns
        again = await until_listed(servers, 2)
        assert sorted(str(dead_letter["attempts"]) for dead_letter in again) == ["1", "2"]

        faulty.repaired = True
        code, output = await imagegen(servers, "replay", "--all", "--service", "faulty")
        assert (code, output.strip()) == (0, "replayed 2")
        async with asyncio.timeout(30):
            while len(faulty.handled) < 2:
                await asyncio.sleep(0.05)
        assert sorted(faulty.handled) == sorted(jobs)
        assert (await imagegen(servers, "replay", "--all"))[1].strip() == "replayed 0"
        await asyncio.sleep(1.0)
        assert sorted(faulty.handled) == sorted(jobs), "a second replay publishes nothing"
        await faulty.service.stop_listening()

    assert await listed(servers) == []
    assert {dead_letter["resolved"] for dead_letter in await listed(servers, "--all")} == {"replayed"}


async def test_an_unknown_dead_letter_and_missing_ids_are_reported(servers: Stack) -> None:
    code, output = await imagegen(servers, "drop", "faulty/no.such.topic/0/0")
    assert code == 1
    assert "there is no dead letter faulty/no.such.topic/0/0" in output
    code, output = await imagegen(servers, "replay")
    assert (code, "give the ids of dead letters, or --all" in output) == (2, True)
