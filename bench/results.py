"""What was measured, as it is kept in results.json."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Final, Self

from pydantic import BaseModel, ConfigDict

NAME: Final = "results.json"


class Record(BaseModel):
    """Frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Machine(Record):
    """Where and on what it was measured."""

    cores: int
    python: str
    broker: str
    faster_mongo: bool = False
    """Whether MONGO_SERVER named another server than the one that everybody has."""
    at: datetime


class Round(Record):
    """One turn of one contestant at its highest throughput."""

    contestant: str
    number: int
    images: int
    seconds: float
    repeated: int
    """Notifications that were said more than once."""
    cpu_ms: dict[str, float]
    """CPU milliseconds per image, by process group."""
    own_groups: tuple[str, ...]
    """Those of the groups that are the contestant's, not the shared servers'."""

    @property
    def images_per_s(self) -> float:
        return self.images / self.seconds

    @property
    def own_cpu_ms(self) -> float:
        return sum(self.cpu_ms[name] for name in self.own_groups)

    @property
    def all_cpu_ms(self) -> float:
        return sum(self.cpu_ms.values())


class Percentiles(Record):
    """Milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Self:
        values = sorted(1000 * each for each in seconds)
        count = len(values)
        if count == 1:
            values *= 2
        cuts = quantiles(values, n=100, method="inclusive")
        return cls(count=count, p50=cuts[49], p95=cuts[94], p99=cuts[98])


class Latency(Record):
    """From the request's publishing to the notification, under one load."""

    contestant: str
    load: str
    per_second: float | None
    """What was asked for; None for one at a time."""
    times: Percentiles


class Hop(Record):
    """One message on the way of an image, from the traces, one job at a time."""

    service: str
    topic: str
    waited: Percentiles | None
    """Since the one before was handled; None for the first, whose wait is the last one's."""
    handled: Percentiles | None


class IdleCpu(Record):
    """Of a contestant that has nothing to do."""

    contestant: str
    percent_of_a_core: float


class InFlight(Record):
    """One gateway process with so many attempts at its provider."""

    provider: str
    attempts: int
    kilobytes_each: float
    cpu_percent: float
    polls_per_s: float
    delay: Percentiles
    """From the end at the provider to the end in the ledger."""


class Growth(Record):
    """The cost of a job beside so many finished ones."""

    finished_jobs: int
    images_per_s: float
    cpu_ms: float


class ScaleOut(Record):
    """With so many processes of each service, on a provider that takes 200 ms."""

    processes_each: int
    images_per_s: float
    own_cpu_ms: float


class StartUp(Record):
    """One service, started alone."""

    service: str
    seconds: float
    memory_mb: float
    idle_cpu_percent: float


class Results(Record):
    """Everything; a part that was not measured is empty."""

    machine: Machine
    rounds: tuple[Round, ...] = ()
    latency: tuple[Latency, ...] = ()
    hops: tuple[Hop, ...] = ()
    idle: tuple[IdleCpu, ...] = ()
    in_flight: tuple[InFlight, ...] = ()
    growth: tuple[Growth, ...] = ()
    scale_out: tuple[ScaleOut, ...] = ()
    start_up: tuple[StartUp, ...] = ()

    def save(self, folder: Path) -> Path:
        path = folder / NAME
        path.write_text(self.model_dump_json(indent=1) + "\n")
        return path

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls.model_validate_json((folder / NAME).read_text())


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
