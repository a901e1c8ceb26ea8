"""Time of one image, hop by hop, from the spans that the services export."""

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bench.contestants.ours import Ours
from bench.load import Load
from bench.results import Hop, Percentiles
from bench.rounds import running
from bench.servers import shared_servers
from bench.sizes import Sizes

log = logging.getLogger("bench")

TRACED: Final = {"TRACE_EXPORTER": "console", "TRACE_RATIO": "1"}
PATH: Final = (
    ("prompt-builder", "generation.requested.v1"),
    ("dispatcher", "generation.planned.v1"),
    ("gateway-modal", "render.requested.modal.v1"),
    ("result-store", "render.succeeded.v1"),
    ("dispatcher", "result.stored.v1"),
)
"""Service and topic of each hop of an image, in order."""
FLUSH_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Span:
    """The handling of one message, in seconds since the epoch."""

    trace: str
    stage: tuple[str, str]
    """The service and the topic."""
    start: float
    end: float


async def hops(folder: Path, sizes: Sizes) -> tuple[Hop, ...]:
    """Measure one job at a time with every trace recorded."""
    async with shared_servers(folder / "hops", environment=TRACED) as shared:
        ours = Ours(shared)
        async with running(shared, ours), Load(ours, "hops").listening() as load:
            await load.closed(sizes.warm_up, 8)
            await asyncio.sleep(FLUSH_SECONDS)
            warm = {span.trace for span in _spans(shared.stack.folder.logs)}
            alone = await load.one_at_a_time(sizes.one_at_a_time)
            await asyncio.sleep(FLUSH_SECONDS)
            spans = [span for span in _spans(shared.stack.folder.logs) if span.trace not in warm]
    return hops_of(spans, alone.latencies)


def hops_of(spans: Sequence[Span], latencies: Sequence[float]) -> tuple[Hop, ...]:
    """Return waiting and handling times of each hop; the last entry is the time outside all hops."""
    traces: dict[str, dict[tuple[str, str], Span]] = {}
    for span in spans:
        if span.stage in PATH:
            traces.setdefault(span.trace, {}).setdefault(span.stage, span)
    whole = [
        [by_stage[stage] for stage in PATH] for by_stage in traces.values() if len(by_stage) == len(PATH)
    ]
    if len(whole) < len(latencies):
        raise LookupError(f"{len(latencies)} jobs have ended, but only {len(whole)} left a whole trace")
    found = []
    for number, (service, topic) in enumerate(PATH):
        waited = [path[number].start - path[number - 1].end for path in whole] if number else []
        handled = [path[number].end - path[number].start for path in whole]
        found.append(
            Hop(
                service=service,
                topic=topic,
                waited=Percentiles.of(waited) if waited else None,
                handled=Percentiles.of(handled),
            )
        )
    inside = Percentiles.of(path[-1].end - path[0].start for path in whole)
    outside = max(0.0, Percentiles.of(latencies).p50 - inside.p50) / 1000
    ends = Percentiles.of([outside])  # the difference of two medians has no p99
    return (*found, Hop(service="upstream", topic="job.events.v1", waited=ends, handled=None))


def _spans(logs: Path) -> Iterator[Span]:
    for path in logs.glob("*.log"):
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("{") and '"process ' in line:
                yield _span(json.loads(line))


def _span(written: Mapping[str, Any]) -> Span:
    service = written["resource"]["attributes"]["service.name"]
    start, end = (datetime.fromisoformat(written[name]).timestamp() for name in ("start_time", "end_time"))
    topic = written["name"].removeprefix("process ")
    return Span(written["context"]["trace_id"], (service, topic), start, end)
