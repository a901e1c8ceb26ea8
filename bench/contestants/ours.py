"""Contestant "ours": this platform, with the four services between a request and its image."""

import asyncio
from collections.abc import Mapping
from typing import ClassVar, Final

from bench.contestants.contestant import Contestant, Finished, SharedServers
from bench.contestants.kafka_load import KafkaLoad
from deploy.local.together import together

IMAGE_PATH_SERVICES: Final = ("prompt_builder", "dispatcher", "gateways.modal", "result_store")
"""Services that handle such a job; api, characters, notifier and two gateways do not."""


class Ours(Contestant):
    """One process of each service, or `processes_each`."""

    name: ClassVar[str] = "ours"
    open_jobs: ClassVar[int] = 192

    def __init__(self, shared: SharedServers, processes_each: int = 1) -> None:
        self._shared = shared
        self._instances = [(name, 1 + n) for name in IMAGE_PATH_SERVICES for n in range(processes_each)]
        environment = shared.environment
        self._load = KafkaLoad(
            environment["KAFKA_BOOTSTRAP"],
            "generation.requested.v1",
            "job.events.v1",
        )

    async def start(self) -> None:
        await together(*(self._shared.stack.start_service(*each) for each in self._instances))
        await self._load.start()

    async def submit(self, job_id: str, tenant: str) -> None:
        await self._load.submit(job_id, tenant)

    async def listen(self, finished: Finished, ready: asyncio.Event) -> None:
        await self._load.listen(finished, ready)

    async def stop(self) -> None:
        await self._load.stop()
        await asyncio.gather(*(self._shared.stack.stop_service(name) for name in self._names))

    @property
    def processes(self) -> Mapping[str, int]:
        running = self._shared.stack.processes
        return {name: pid for name in self._names if (pid := running[name].pid) is not None}

    @property
    def database(self) -> str:
        return self._shared.environment["MONGO_DATABASE"]

    @property
    def _names(self) -> list[str]:
        return [name if number == 1 else f"{name}-{number}" for name, number in self._instances]
