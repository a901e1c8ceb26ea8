"""This platform: the four services between a request and its image."""

import asyncio
from collections.abc import Mapping
from typing import ClassVar, Final

from bench.contestants.contestant import Contestant, Finished, Place
from bench.contestants.kafka_load import KafkaLoad
from deploy.local.together import together

ON_THE_WAY: Final = ("prompt_builder", "dispatcher", "gateways.modal", "result_store")
"""The others (api, characters, notifier, two more gateways) do nothing for such a job."""


class Ours(Contestant):
    """One process of each service, or as many as `processes_each` says."""

    name: ClassVar[str] = "ours"
    open_jobs: ClassVar[int] = 192

    def __init__(self, place: Place, processes_each: int = 1) -> None:
        self._place = place
        self._wanted = [(name, 1 + n) for name in ON_THE_WAY for n in range(processes_each)]
        environment = place.environment
        self._load = KafkaLoad(
            environment["KAFKA_BOOTSTRAP"],
            "generation.requested.v1",
            "job.events.v1",
        )

    async def start(self) -> None:
        await together(*(self._place.stack.start_service(*each) for each in self._wanted))
        await self._load.start()

    async def submit(self, job_id: str, tenant: str) -> None:
        await self._load.submit(job_id, tenant)

    async def listen(self, finished: Finished, ready: asyncio.Event) -> None:
        await self._load.listen(finished, ready)

    async def stop(self) -> None:
        await self._load.stop()
        await asyncio.gather(*(self._place.stack.stop_service(name) for name in self._names))

    @property
    def processes(self) -> Mapping[str, int]:
        running = self._place.stack.processes
        return {name: pid for name in self._names if (pid := running[name].pid) is not None}

    @property
    def database(self) -> str:
        return self._place.environment["MONGO_DATABASE"]

    @property
    def _names(self) -> list[str]:
        return [name if number == 1 else f"{name}-{number}" for name, number in self._wanted]
