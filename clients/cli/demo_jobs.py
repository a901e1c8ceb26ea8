"""Run the demo's requests: submit them, follow their jobs over one event stream, download the images."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer

from clients.cli.demo_requests import (
    FIRST_REQUESTS,
    TRANSPORTS,
    DemoRequest,
    request_waiting_for_lora,
    requests_after,
)
from clients.cli.downloads import download
from clients.cli.job_progress import JobProgress
from clients.cli.kafka_request import request_images
from contracts.http import JobSnapshot, ResultImage, ResultLora
from contracts.jobs import JobEvent
from imagegen_client import Client, EventStream, LinkedJobEvent, RequestRejected
from shared.ids import uuid7

if TYPE_CHECKING:
    from deploy.local.stack import Stack

TENANT = "demo"
USER = "demo-user"
CHECK_SECONDS = 3.0
POLL_SECONDS = 0.5


@dataclass
class DemoJob:
    """A request of the demo and its job."""

    request: DemoRequest
    progress: JobProgress
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    images: list[tuple[ResultImage, Path]] = field(default_factory=list)
    loras: tuple[ResultLora, ...] = ()

    @property
    def heading(self) -> str:
        return f"{self.request.title} ({self.request.transport})"

    def apply(self, event: JobEvent) -> None:
        """Update the progress from an event of the job."""
        self.progress.apply_event(event)
        if self.progress.ended:
            self.ended.set()


class Demo:
    """All jobs of a run."""

    def __init__(self, out: Path, on_end: Callable[[DemoJob], None]) -> None:
        self._jobs: dict[str, DemoJob] = {}
        self._early: dict[str, list[JobEvent]] = {}
        self._out = out
        self._on_end = on_end

    @property
    def jobs(self) -> list[DemoJob]:
        """Jobs requested over Kafka, then over HTTP, each in the order of their requests."""
        return sorted(self._jobs.values(), key=lambda job: TRANSPORTS.index(job.request.transport))

    async def run(self, stack: "Stack") -> None:
        """Make all requests and return once every job has ended and its images are downloaded."""
        producer = AIOKafkaProducer(bootstrap_servers=stack.environment["KAFKA_BOOTSTRAP"])
        client = Client(
            api_url=stack.api_url,
            notifier_url=stack.notifier_url,
            tenant=TENANT,
            user=USER,
            patience_seconds=60.0,
        )
        try:
            await producer.start()
            with (self._out / "events.jsonl").open("w", encoding="utf-8") as log:
                async with client:
                    stream = client.user_events()
                    requests = DemoRequests(
                        client, producer, self._follow, self._out / "images", self._on_end
                    )
                    await until_first(
                        self._record_events(stream, log), self._check(client), requests.run(stream)
                    )
        finally:
            await producer.stop()

    async def _record_events(self, stream: EventStream[LinkedJobEvent | JobSnapshot], log: IO[str]) -> None:
        """Write every event of the user's jobs to the log and apply it."""
        async with aclosing(stream.read()) as events:
            async for event in events:
                if isinstance(event, JobSnapshot):
                    continue
                log.write(event.model_dump_json(exclude={"links"}) + "\n")
                if job := self._jobs.get(event.job_id):
                    job.apply(event)
                else:
                    self._early.setdefault(event.job_id, []).append(event)

    def _follow(self, request: DemoRequest, job_id: str) -> DemoJob:
        """Add a job, and apply the events of it that have been received before."""
        job = self._jobs[job_id] = DemoJob(request, JobProgress(job_id, request.type))
        for event in self._early.pop(job_id, ()):
            job.apply(event)
        return job

    async def _check(self, client: Client) -> None:
        """Read open jobs from the API every 3 s, in case the stream is interrupted for long."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            for job in [job for job in self._jobs.values() if not job.progress.ended]:
                with suppress(RequestRejected):  # not planned yet
                    job.progress.apply_view(await client.job(job.progress.job_id))
                if job.progress.ended:
                    job.ended.set()


class DemoRequests:
    """Makes the requests in the order in which they depend on each other."""

    def __init__(
        self,
        client: Client,
        producer: AIOKafkaProducer,
        follow: Callable[[DemoRequest, str], DemoJob],
        folder: Path,
        on_end: Callable[[DemoJob], None],
    ) -> None:
        self._client = client
        self._producer = producer
        self._follow = follow
        self._folder = folder
        self._on_end = on_end

    async def run(self, stream: EventStream[LinkedJobEvent | JobSnapshot]) -> None:
        """Make all requests, over Kafka and HTTP at the same time, and wait for their jobs."""
        await stream.connected.wait()
        await together(*(self._base_image_and_after(first) for first in FIRST_REQUESTS))

    async def _base_image_and_after(self, first: DemoRequest) -> None:
        faces = await self._make(first)
        if faces.images:
            base_image = f"{faces.progress.job_id}/{faces.images[0][0].index}"
            await together(*(self._with_chain(request) for request in requests_after(first, base_image)))

    async def _with_chain(self, request: DemoRequest) -> None:
        """Make a request, follow the steps of its chain, and make the request that waits for the LoRA."""
        job_id = uuid7()  # also the id of the chain and of its character
        steps = (self._follow_step(job_id, place, step) for place, step in enumerate(request.then, 1))
        waiting = [self._request_waiting_for_lora(job_id)] if request.then else []
        await together(self._make(request, job_id), *steps, *waiting)

    async def _follow_step(self, chain_id: str, place: int, request: DemoRequest) -> None:
        """Follow a job that the platform starts; the chain has its id."""
        while True:
            with suppress(RequestRejected):  # the chain is not stored yet
                step = (await self._client.chain(chain_id)).steps[place]
                if step.job_ids:
                    return await self._finish(self._follow(request, step.job_ids[-1]))
            await asyncio.sleep(POLL_SECONDS)

    async def _request_waiting_for_lora(self, character_id: str) -> None:
        while True:
            with suppress(RequestRejected):  # the character is not stored yet
                await self._client.character(character_id)
                break
            await asyncio.sleep(POLL_SECONDS)
        await self._make(request_waiting_for_lora(character_id))

    async def _make(self, request: DemoRequest, job_id: str | None = None) -> DemoJob:
        job_id = job_id or uuid7()
        job = self._follow(request, job_id)
        if request.transport == "Kafka":
            ids = {"job_id": job_id, "tenant": TENANT, "user_id": USER}
            await request_images(self._producer, **ids, request=request.request, then=request.follow_ups)
        else:
            await self._client.submit(request.submission(job_id), idempotency_key=f"demo-{job_id}")
        await self._finish(job)
        return job

    async def _finish(self, job: DemoJob) -> None:
        """Wait for the end of a job and download its images."""
        await job.ended.wait()
        results = await self._client.results(job.progress.job_id)
        paths = await download(self._client, results, self._folder / job.request.folder)
        job.images = list(zip(results.images, paths, strict=True))
        job.loras = results.loras
        self._on_end(job)


async def together(*work: Coroutine[Any, Any, Any]) -> None:
    """Run all at once; the first failure cancels the rest and is raised as it is."""
    await _until(asyncio.FIRST_EXCEPTION, work)


async def until_first(*work: Coroutine[Any, Any, Any]) -> None:
    """Run all at once until one ends or fails; the others are cancelled."""
    await _until(asyncio.FIRST_COMPLETED, work)


async def _until(condition: str, work: tuple[Coroutine[Any, Any, Any], ...]) -> None:
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=condition)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
