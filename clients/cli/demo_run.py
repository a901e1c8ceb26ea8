"""The demo's requests: said over Kafka and HTTP, followed over one stream, their images fetched."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer

from clients.cli.addresses import Addresses
from clients.cli.client import Client, download
from clients.cli.demo_requests import FIRST, WAYS, Wish, then, waiting
from clients.cli.errors import RequestRefused
from clients.cli.events import EventStream
from clients.cli.following import EVENTS, Followed
from clients.cli.upstream import request_images
from contracts.http import ResultImage, ResultLora
from contracts.jobs import JobEvent
from shared.ids import uuid7

if TYPE_CHECKING:
    from deploy.local.stack import Stack

TENANT = "demo"
USER = "demo-user"
LOOK_SECONDS = 3.0
POLL_SECONDS = 0.5


@dataclass
class Asked:
    """A wish that became a job."""

    wish: Wish
    job: Followed
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    images: list[tuple[ResultImage, Path]] = field(default_factory=list)
    loras: tuple[ResultLora, ...] = ()

    @property
    def heading(self) -> str:
        """For lists."""
        return f"{self.wish.title} ({self.wish.way})"


class Demo:
    """Says all wishes; `jobs` is what became of them, by job id."""

    def __init__(self, out: Path, on_end: Callable[[Asked], None]) -> None:
        self.jobs: dict[str, Asked] = {}
        self._early: dict[str, list[JobEvent]] = {}
        self._out = out
        self._on_end = on_end

    @property
    def asked(self) -> list[Asked]:
        """Kafka's, then HTTP's, in the order in which they were said."""
        return sorted(self.jobs.values(), key=lambda asked: WAYS.index(asked.wish.way))

    async def run(self, stack: "Stack") -> None:
        """Make all requests, and return when every job has ended and its images are here."""
        addresses = Addresses({"api": stack.api_url, "notifier": stack.notifier_url}, self._out)
        producer = AIOKafkaProducer(bootstrap_servers=stack.environment["KAFKA_BOOTSTRAP"])
        try:
            await producer.start()
            with (self._out / "events.jsonl").open("w", encoding="utf-8") as log:
                async with Client(addresses, TENANT, USER, patience_seconds=60.0) as client:
                    stream = client.all_events()
                    wishes = Wishes(client, producer, self._follow, self._out / "images", self._on_end)
                    await until_first(self._listen(stream, log), self._look(client), wishes.say_all(stream))
        finally:
            await producer.stop()

    async def _listen(self, stream: EventStream, log: IO[str]) -> None:
        """Take in every event of this user's jobs, and write it down."""
        async with aclosing(stream.read()) as events:
            async for said in events:
                if said.kind not in EVENTS:
                    continue
                event = JobEvent.model_validate_json(said.data)
                log.write(event.model_dump_json() + "\n")
                if asked := self.jobs.get(event.job_id):
                    _take(asked, event)
                else:
                    self._early.setdefault(event.job_id, []).append(event)

    def _follow(self, wish: Wish, job_id: str) -> Asked:
        """From now on this job is shown; what was heard of it before counts."""
        asked = self.jobs[job_id] = Asked(wish, Followed(job_id, wish.type))
        for event in self._early.pop(job_id, ()):
            _take(asked, event)
        return asked

    async def _look(self, client: Client) -> None:
        """Ask the api now and then: what a broken stream did not bring is seen all the same."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for asked in [each for each in self.jobs.values() if not each.job.ended]:
                with suppress(RequestRefused):  # not planned yet
                    asked.job.see(await client.job(asked.job.job_id))
                if asked.job.ended:
                    asked.ended.set()


def _take(asked: Asked, event: JobEvent) -> None:
    asked.job.apply(event)
    if asked.job.ended:
        asked.ended.set()


class Wishes:
    """Says them in the order that they need."""

    def __init__(
        self,
        client: Client,
        producer: AIOKafkaProducer,
        follow: Callable[[Wish, str], Asked],
        folder: Path,
        on_end: Callable[[Asked], None],
    ) -> None:
        self._client = client
        self._producer = producer
        self._follow = follow
        self._folder = folder
        self._on_end = on_end

    async def say_all(self, stream: EventStream) -> None:
        """Kafka's and HTTP's side by side, until each has ended."""
        await stream.opened.wait()
        await together(*(self._with_what_follows(first) for first in FIRST))

    async def _with_what_follows(self, first: Wish) -> None:
        faces = await self._say(first)
        if faces.images:
            base_image = f"{faces.job.job_id}/{faces.images[0][0].index}"
            await together(*(self._with_its_chain(wish) for wish in then(first, base_image)))

    async def _with_its_chain(self, wish: Wish) -> None:
        """A wish; beside it what follows it by itself, and what waits for that."""
        job_id = uuid7()  # also the chain's, and its character's
        steps = (self._step(job_id, place, step) for place, step in enumerate(wish.then, 1))
        late = [self._wait_for_lora(job_id)] if wish.then else []
        await together(self._say(wish, job_id), *steps, *late)

    async def _step(self, chain_id: str, place: int, wish: Wish) -> None:
        """A job that the platform asks for: its chain tells which."""
        while True:
            with suppress(RequestRefused):  # not known yet
                step = (await self._client.chain(chain_id)).steps[place]
                if step.job_ids:
                    return await self._end(self._follow(wish, step.job_ids[-1]))
            await asyncio.sleep(POLL_SECONDS)

    async def _wait_for_lora(self, character_id: str) -> None:
        while True:
            with suppress(RequestRefused):  # not stored yet
                await self._client.character(character_id)
                break
            await asyncio.sleep(POLL_SECONDS)
        await self._say(waiting(character_id))

    async def _say(self, wish: Wish, job_id: str | None = None) -> Asked:
        job_id = job_id or uuid7()
        asked = self._follow(wish, job_id)
        if wish.way == "Kafka":
            whose = {"job_id": job_id, "tenant": TENANT, "user_id": USER}
            await request_images(self._producer, **whose, request=wish.request, then=wish.follow_ups)
        else:
            await self._client.submit(wish.submission(job_id), key=f"demo-{job_id}")
        await self._end(asked)
        return asked

    async def _end(self, asked: Asked) -> None:
        """Wait for it, and fetch what came of it."""
        await asked.ended.wait()
        results = await self._client.results(asked.job.job_id)
        paths = await download(self._client, results, self._folder / asked.wish.folder)
        asked.images = list(zip(results.images, paths, strict=True))
        asked.loras = results.loras
        self._on_end(asked)


async def together(*work: Coroutine[Any, Any, Any]) -> None:
    """All of them; the first failure ends the others."""
    await _until(asyncio.FIRST_EXCEPTION, work)


async def until_first(*work: Coroutine[Any, Any, Any]) -> None:
    """Until one ends or fails; it ends the others."""
    await _until(asyncio.FIRST_COMPLETED, work)


async def _until(enough: str, work: tuple[Coroutine[Any, Any, Any], ...]) -> None:
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=enough)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
