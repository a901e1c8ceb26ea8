"""Wake-ups on real servers: neither the order of `lora.ready` and the job nor a kill loses one."""

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer
from pydantic import SecretStr

from contracts.base import PROVIDERS, Message
from contracts.chains import LoraFailed, LoraReady
from contracts.characters import Character, CharacterRecord, Lora, character_key
from contracts.generation import GenerationPlanned, GenerationRequested, RenderSpec
from contracts.jobs import Job, JobDue
from contracts.renders import RenderRequested
from contracts.requests import StudioRequest
from deploy.local.stack import Stack, StackOptions
from shared import mongo
from shared.clock import now
from shared.envelope import Outgoing
from shared.ids import uuid7
from shared.kafka.publisher import Publisher
from shared.mongo import Database
from shared.settings import KafkaSettings, MongoSettings

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

DISPATCHER = "dispatcher"
COMMANDS = [RenderRequested.topic.format(provider=provider) for provider in PROVIDERS]
MIA = Character(name="Mia", age=27, trigger_word="mia_tok")
LORA = Lora(key="acme/loras/mia.safetensors", trigger_word="mia_tok")


class WaitHarness:
    """Upstream, characters service and gateway in the test, around a real prompt-builder and dispatcher."""

    def __init__(self, stack: Stack, database: Database, publisher: Publisher) -> None:
        self.stack = stack
        self.commands: dict[str, list[RenderRequested]] = {}
        self.calls: dict[str, list[JobDue]] = {}
        self._database = database
        self._publisher = publisher

    async def listen(self, consumer: AIOKafkaConsumer) -> None:
        """Collect commands and wake-ups until cancelled."""
        async for record in consumer:
            if record.topic == JobDue.topic:
                call = JobDue.model_validate_json(record.value)
                self.calls.setdefault(call.job_id, []).append(call)
            else:
                command = RenderRequested.model_validate_json(record.value)
                self.commands.setdefault(command.job_id, []).append(command)

    async def character(self) -> str:
        """Store a character whose LoRA is being trained."""
        record = CharacterRecord(
            character_id=uuid7(),
            tenant="acme",
            user_id="ann",
            character=MIA,
            lora_state="training",
            created_at=now(),
            updated_at=now(),
        )
        document = {"_id": character_key("acme", record.character_id)} | record.model_dump()
        await self._database["characters"].insert_one(document)
        return record.character_id

    async def request(self, character_id: str) -> str:
        """Request an image that waits."""
        job_id = uuid7()
        studio = StudioRequest(character_id=character_id, wait_for_lora=True)
        await self.say(GenerationRequested(job_id=job_id, tenant="acme", user_id="ann", request=studio))
        return job_id

    async def plan(self, character_id: str) -> str:
        """Publish a plan from before the LoRA was ready."""
        job_id = uuid7()
        await self.say(
            GenerationPlanned(
                job_id=job_id,
                tenant="acme",
                user_id="ann",
                type="studio",
                request_hash="abc",
                requested_at=now(),
                character_id=character_id,
                renders=(RenderSpec(index=0, label="1", prompt="mia_tok, a lighthouse"),),
                waits_for_lora=True,
            )
        )
        return job_id

    async def ready(self, character_id: str) -> LoraReady:
        """Write the LoRA, then announce it, as the characters service does."""
        about: dict[str, Any] = {"character_id": character_id, "job_id": uuid7(), "tenant": "acme"}
        trained = MIA.model_copy(update={"lora": LORA}).model_dump()
        await self._write(character_id, character=trained, lora_state="ready")
        announcement = LoraReady(**about, lora=LORA, at=now())
        await self.say(announcement)
        return announcement

    async def failed(self, character_id: str) -> None:
        """Write the failure of the training, then announce it."""
        about: dict[str, Any] = {"character_id": character_id, "job_id": uuid7(), "tenant": "acme"}
        failure = {"lora_error": "too few images", "lora_failed_at": now()}
        await self._write(character_id, lora_state="failed", **failure)
        await self.say(LoraFailed(**about, reason="too few images", at=now()))

    async def _write(self, character_id: str, **fields: Any) -> None:
        await self._database["characters"].update_one(
            {"_id": character_key("acme", character_id)}, {"$set": fields}
        )

    async def say(self, message: Message) -> None:
        await self._publisher.publish([Outgoing(message)])

    async def job(self, job_id: str) -> Job | None:
        found = await self._database["jobs"].find_one({"_id": job_id})
        return Job.model_validate(found) if found else None

    async def has_looked(self, job_id: str) -> Job:
        """Wait until a waiting job has been checked once; the next check is far off."""
        async with asyncio.timeout(60):
            while not ((job := await self.job(job_id)) and job.wake_at and job.wake_at > job.accepted_at):
                await asyncio.sleep(0.02)
        assert job.phase == "waiting_for_lora"
        return job

    async def ended(self, job_id: str) -> Job:
        async with asyncio.timeout(60):
            while not ((job := await self.job(job_id)) and job.terminal):
                await asyncio.sleep(0.02)
        return job

    async def woken(self, *job_ids: str, seconds: float = 60.0) -> None:
        """Check that each job commanded its image once, with the LoRA."""
        async with asyncio.timeout(seconds):
            while missing := [job_id for job_id in job_ids if job_id not in self.commands]:
                assert missing
                await asyncio.sleep(0.02)
        for job_id in job_ids:
            attempts = {command.attempt_id: command for command in self.commands[job_id]}
            assert list(attempts) == [f"{job_id}/0/1"]
            assert all(command.spec.lora == LORA for command in attempts.values())
            job = await self.job(job_id)
            assert job is not None
            assert (job.phase, [event.event for event in job.events]) == ("queued", ["accepted"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> AsyncIterator[WaitHarness]:
    state = tmp_path_factory.mktemp("waiting")
    services = ("prompt_builder", DISPATCHER)
    options = StackOptions(state=state, bootstrap=kafka, simulators=(), services=services)
    async with Stack(options) as stack:
        consumer = AIOKafkaConsumer(
            JobDue.topic,
            *COMMANDS,
            bootstrap_servers=kafka,
            auto_offset_reset="earliest",
        )
        settings = KafkaSettings(bootstrap=kafka)
        stored = MongoSettings(url=SecretStr(stack.environment["MONGO_URL"]))
        await consumer.start()
        async with Publisher("characters", settings) as publisher, mongo.connect(stored) as database:
            room = WaitHarness(stack, database, publisher)
            ear = asyncio.create_task(room.listen(consumer))
            try:
                yield room
            finally:
                ear.cancel()
                await asyncio.gather(ear, return_exceptions=True)
                await consumer.stop()


async def test_a_waiting_job_is_woken_by_the_lora(room: WaitHarness) -> None:
    character_id = await room.character()
    job_id = await room.request(character_id)
    waiting = await room.has_looked(job_id)
    assert waiting.renders[0].spec.prompt.startswith("mia_tok, ")
    announcement = await room.ready(character_id)
    await room.woken(job_id)
    assert announcement.at in [call.due_at for call in room.calls[job_id]]
    assert {call.character_id for call in room.calls[job_id]} == {character_id}


async def test_a_lora_announced_before_the_job_is_found_by_its_first_check(
    room: WaitHarness,
) -> None:
    character_id = await room.character()
    earlier = await room.request(character_id)
    await room.has_looked(earlier)
    await room.ready(character_id)
    await room.woken(earlier)  # the announcement was read
    job_id = await room.plan(character_id)
    await room.woken(job_id)
    job = await room.job(job_id)
    assert job is not None
    assert {call.due_at for call in room.calls[job_id]} == {job.accepted_at}


async def test_neither_order_is_missed_while_the_dispatcher_is_down(room: WaitHarness) -> None:
    waited, first, second = [await room.character() for _ in range(3)]
    jobs = [await room.request(waited)]
    await room.has_looked(jobs[0])
    await room.stack.kill(DISPATCHER, signal.SIGKILL)
    await room.stack.stop_service(DISPATCHER)
    await room.ready(waited)
    jobs.append(await room.plan(first))
    await room.ready(first)
    await room.ready(second)
    jobs.append(await room.plan(second))
    await room.stack.start_service(DISPATCHER)
    await room.woken(*jobs)


async def test_a_dispatcher_killed_in_between_wakes_every_job_once(room: WaitHarness) -> None:
    characters = [await room.character() for _ in range(21)]
    jobs = []
    for place, character_id in enumerate(characters):
        if place == 10:
            await room.stack.kill(DISPATCHER, signal.SIGKILL)
        if place % 3 == 0:
            await room.ready(character_id)
        jobs.append(await room.plan(character_id))
        if place % 3 == 1:
            await room.ready(character_id)
    for character_id in characters[2::3]:
        await room.ready(character_id)
    await room.woken(*jobs, seconds=90)


async def test_a_failed_training_ends_waiting_jobs(room: WaitHarness) -> None:
    character_id = await room.character()
    job_id = await room.request(character_id)
    await room.has_looked(job_id)
    await room.failed(character_id)
    job = await room.ended(job_id)
    assert job.error is not None
    assert job.error.code == "lora_failed"
    assert job_id not in room.commands
