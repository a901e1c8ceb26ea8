"""Results of a run, stored in results.json."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Final, Self

from pydantic import BaseModel, ConfigDict

NAME: Final = "results.json"


class Record(BaseModel):
    """Base of all results: frozen, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Machine(Record):
    """The machine and servers of a run."""

    cores: int
    python: str
    broker: str
    faster_mongo: bool = False
    """True if MONGO_SERVER named another server than the default one."""
    at: datetime


class Round(Record):
    """One turn of one contestant at its highest throughput."""

    contestant: str
    number: int
    images: int
    seconds: float
    repeated: int
    """Number of duplicate notifications."""
    cpu_ms: dict[str, float]
    """CPU milliseconds per image, by process group."""
    own_groups: tuple[str, ...]
    """Groups of the contestant, without the shared servers."""

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
    """Percentiles in milliseconds."""

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
    """Time from publishing a request to its notification, under one load."""

    contestant: str
    load: str
    per_second: float | None
    """Submitted jobs per second; None for one at a time."""
    times: Percentiles


class Hop(Record):
    """One message on the path of an image, from the traces, one job at a time."""

    service: str
    topic: str
    waited: Percentiles | None
    """Time since the previous message was handled; None for the first hop, whose wait is in the last one."""
    handled: Percentiles | None


class IdleCpu(Record):
    """CPU usage of a contestant without jobs."""

    contestant: str
    percent_of_a_core: float


class InFlight(Record):
    """One gateway process with this number of attempts at its provider."""

    provider: str
    attempts: int
    kilobytes_each: float
    cpu_percent: float
    polls_per_s: float
    delay: Percentiles
    """Time from the end at the provider to the end in the ledger."""


class Growth(Record):
    """Cost of a job beside this number of finished ones."""

    finished_jobs: int
    images_per_s: float
    cpu_ms: float


class ScaleOut(Record):
    """Throughput with this number of processes of each service, on a provider that takes 200 ms."""

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
    """Results of all parts; an unmeasured part is empty."""

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
