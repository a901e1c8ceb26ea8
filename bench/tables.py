"""Results → the tables of docs/performance.md, between its markers."""

import re
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from bench.cpu import cpu_by_group
from bench.figures import rates
from bench.results import Percentiles, Results, Round

NAMES: Final = {
    "ours": "this platform",
    "floor": "floor",
    "celery_chain": "Celery, chain of six tasks",
    "celery_one": "Celery, one task",
    "temporal": "Temporal, workflow of six activities",
}
Row = Sequence[object]


def write_tables(results: Results, page: Path) -> None:
    """Replace what stands between `<!-- NAME -->` and `<!-- /NAME -->`; a part not measured stays."""
    written = page.read_text()
    for name, table in tables(results).items():
        written, count = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda found, table=table: f"{found[1]}{table}\n{found[2]}",  # type: ignore[misc]
            written,
            flags=re.DOTALL,
        )
        if count != 1:
            raise LookupError(f"{page} has no place for {name}")
    page.write_text(written)


def tables(results: Results) -> dict[str, str]:
    """Markdown by the name of its markers, for each part that was measured."""
    found = {
        "machine": _machine(results),
        "throughput": _throughput(results.rounds),
        "cpu": _cpu(results.rounds),
        "latency": _table(
            ("contestant", "load", "images/s", "jobs", "p50 ms", "p95 ms", "p99 ms"),
            ((NAMES[e.contestant], e.load, e.per_second, *_times(e.times)) for e in results.latency),
        ),
        "hops": _table(
            ("service", "message", "waits, p50 ms", "p99 ms", "is handled in, p50 ms", "p99 ms"),
            ((e.service, e.topic, *_ends(e.waited), *_ends(e.handled)) for e in results.hops),
        ),
        "idle": _table(
            ("contestant", "CPU while idle, % of a core"),
            ((NAMES[e.contestant], e.percent_of_a_core) for e in results.idle),
        ),
        "in_flight": _table(
            ("provider", "in flight", "kB each", "CPU, % of a core", "polls/s", "seen after p50 s", "p99 s"),
            (
                (e.provider, e.attempts, e.kilobytes_each, e.cpu_percent, e.polls_per_s, *_seconds(e.delay))
                for e in results.in_flight
            ),
        ),
        "growth": _table(
            ("finished jobs in the stores", "images/s", "CPU ms per image, servers included"),
            ((e.finished_jobs, e.images_per_s, e.cpu_ms) for e in results.growth),
        ),
        "scale_out": _table(
            ("processes of each service", "images/s", "services' CPU ms per image"),
            ((e.processes_each, e.images_per_s, e.own_cpu_ms) for e in results.scale_out),
        ),
        "start_up": _table(
            ("service", "ready after s", "memory MB", "CPU while idle, % of a core"),
            ((e.service, e.seconds, e.memory_mb, e.idle_cpu_percent) for e in results.start_up),
        ),
    }
    return {name: table for name, table in found.items() if table}


def _times(times: Percentiles) -> Row:
    return (times.count, times.p50, times.p95, times.p99)


def _ends(times: Percentiles | None) -> Row:
    return (times.p50, times.p99) if times else ("", "")


def _seconds(times: Percentiles) -> Row:
    return (times.p50 / 1000, times.p99 / 1000)


def _machine(results: Results) -> str:
    machine = results.machine
    broker = {"embedded": "tansu", "apache": "Apache Kafka"}[machine.broker]
    return (
        f"Measured on {machine.at:%Y-%m-%d}: {machine.cores} cores, Python {machine.python}, {broker}, "
        "SecantusDB, SeaweedFS; load, contestants and servers share the machine."
    )


def _throughput(rounds: Sequence[Round]) -> str:
    rows: list[Row] = []
    for name in dict.fromkeys(each.contestant for each in rounds):
        mine, found = [each for each in rounds if each.contestant == name], rates(rounds, name)
        own = statistics.median(each.own_cpu_ms for each in mine)
        whole = statistics.median(each.all_cpu_ms for each in mine)
        spread = f"{text(min(found))} to {text(max(found))}"
        rows.append((NAMES[name], statistics.median(found), spread, own, whole, len(mine)))
    columns = ("contestant", "images/s", "spread", "own CPU ms per image", "with servers", "rounds")
    return _table(columns, rows)


def _cpu(rounds: Sequence[Round]) -> str:
    names = list(dict.fromkeys(each.contestant for each in rounds))
    by_name = {name: cpu_by_group(rounds, name) for name in names}
    groups = list(dict.fromkeys(group for each in by_name.values() for group in each))
    rows = [(group, *(by_name[name].get(group, "") for name in names)) for group in groups]
    return _table(("CPU ms per image", *(NAMES[name] for name in names)), rows)


def _table(columns: Sequence[str], rows: Iterable[Row]) -> str:
    lines = [f"| {' | '.join(map(text, row))} |" for row in rows]
    return "\n".join([f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *lines]) if lines else ""


def text(value: object) -> str:
    """Three digits that count, and no more."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)
