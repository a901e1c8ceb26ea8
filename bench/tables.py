"""Tables of docs/performance.md, written between its markers."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.cpu import cpu_by_group
from bench.figures import rates
from bench.markdown import Row, table, text, write_between_markers
from bench.results import Percentiles, Results, Round

NAMES: Final = {
    "ours": "this platform",
    "floor": "floor",
    "celery_chain": "Celery, chain of six tasks",
    "celery_one": "Celery, one task",
    "temporal": "Temporal, workflow of six activities",
}


def write_tables(results: Results, page: Path) -> None:
    """Write each part's table into its place; unmeasured parts stay unchanged."""
    write_between_markers(page, tables(results))


def write_faster_mongo(results: Results, page: Path) -> None:
    """Write the rounds with a faster MongoDB server into their own place."""
    if results.rounds:
        both = f"{_throughput(results.rounds)}\n\n{_cpu(results.rounds)}"
        write_between_markers(page, {"faster_mongo": both})


def tables(results: Results) -> dict[str, str]:
    """Return Markdown by the name of its markers, for each measured part."""
    found = {
        "machine": machine_line(results),
        "throughput": _throughput(results.rounds),
        "cpu": _cpu(results.rounds),
        "latency": table(
            ("contestant", "load", "images/s", "jobs", "p50 ms", "p95 ms", "p99 ms"),
            ((NAMES[e.contestant], e.load, e.per_second, *_times(e.times)) for e in results.latency),
        ),
        "hops": table(
            ("service", "message", "waiting, p50 ms", "p99 ms", "handling, p50 ms", "p99 ms"),
            ((e.service, e.topic, *_ends(e.waited), *_ends(e.handled)) for e in results.hops),
        ),
        "idle": table(
            ("contestant", "CPU while idle, % of a core"),
            ((NAMES[e.contestant], e.percent_of_a_core) for e in results.idle),
        ),
        "in_flight": table(
            ("provider", "in flight", "kB each", "CPU, % of a core", "polls/s", "delay p50 s", "p99 s"),
            (
                (e.provider, e.attempts, e.kilobytes_each, e.cpu_percent, e.polls_per_s, *_seconds(e.delay))
                for e in results.in_flight
            ),
        ),
        "growth": table(
            ("finished jobs in the stores", "images/s", "CPU ms per image, servers included"),
            ((e.finished_jobs, e.images_per_s, e.cpu_ms) for e in results.growth),
        ),
        "scale_out": table(
            ("processes of each service", "images/s", "services' CPU ms per image"),
            ((e.processes_each, e.images_per_s, e.own_cpu_ms) for e in results.scale_out),
        ),
        "start_up": table(
            ("service", "ready after s", "memory MB", "CPU while idle, % of a core"),
            ((e.service, e.seconds, e.memory_mb, e.idle_cpu_percent) for e in results.start_up),
        ),
    }
    return {name: part for name, part in found.items() if part}


def _times(times: Percentiles) -> Row:
    return (times.count, times.p50, times.p95, times.p99)


def _ends(times: Percentiles | None) -> Row:
    return (times.p50, times.p99 if times.count > 1 else "") if times else ("", "")


def _seconds(times: Percentiles) -> Row:
    return (times.p50 / 1000, times.p99 / 1000)


def machine_line(results: Results) -> str:
    """Return a line with date and machine of the measurement."""
    machine = results.machine
    return (
        f"Measured on {machine.at:%Y-%m-%d}: {machine.cores} cores, Python {machine.python}, "
        f"{machine.broker}, SecantusDB, SeaweedFS; load, contestants and servers share the machine."
    )


def _throughput(rounds: Sequence[Round]) -> str:
    rows: list[Row] = []
    for name in dict.fromkeys(each.contestant for each in rounds):
        turns, found = [each for each in rounds if each.contestant == name], rates(rounds, name)
        own = statistics.median(each.own_cpu_ms for each in turns)
        total = statistics.median(each.all_cpu_ms for each in turns)
        spread = f"{text(min(found))} to {text(max(found))}"
        rows.append((NAMES[name], statistics.median(found), spread, own, total, len(turns)))
    columns = ("contestant", "images/s", "spread", "own CPU ms per image", "with servers", "rounds")
    return table(columns, rows)


def _cpu(rounds: Sequence[Round]) -> str:
    names = list(dict.fromkeys(each.contestant for each in rounds))
    by_name = {name: cpu_by_group(rounds, name) for name in names}
    groups = list(dict.fromkeys(group for each in by_name.values() for group in each))
    rows = [(group, *(by_name[name].get(group, "") for name in names)) for group in groups]
    return table(("CPU ms per image", *(NAMES[name] for name in names)), rows)
