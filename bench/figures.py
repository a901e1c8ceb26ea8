"""The figures of the last line: how ours compares, and what it costs."""

import statistics
from collections.abc import Sequence
from typing import Final

from bench.cpu import own_cpu
from bench.latency import ALONE
from bench.results import Latency, Results, Round

Figures = dict[str, float | int | str | None]

DIGITS: Final = 4
"""That mean something, at the most."""


def figures(results: Results) -> Figures:
    """None where it was not measured."""
    ours = throughput(results.rounds, "ours")

    def ratio(other: str) -> float | None:
        theirs = throughput(results.rounds, other)
        return ours / theirs if ours and theirs else None

    mine, floors = alone(results.latency, "ours"), alone(results.latency, "floor")
    found: Figures = {
        "images_per_s": ours,
        "floor_ratio": ratio("floor"),
        "celery_ratio": ratio("celery_chain"),
        "celery_one_ratio": ratio("celery_one"),
        "temporal_ratio": ratio("temporal"),
        "cpu_ms_per_image": own_cpu(results.rounds, "ours"),
        "latency_p50_ms": mine.times.p50 if mine else None,
        "latency_p99_ms": mine.times.p99 if mine else None,
        "latency_p50_ratio": mine.times.p50 / floors.times.p50 if mine and floors else None,
        "latency_p99_ratio": mine.times.p99 / floors.times.p99 if mine and floors else None,
        "in_flight_kb": max(results.in_flight, key=lambda each: each.attempts).kilobytes_each
        if results.in_flight
        else None,
        "growth_ratio": results.growth[-1].cpu_ms / results.growth[0].cpu_ms if results.growth else None,
        "broker": results.machine.broker,
        "rounds": max((each.number for each in results.rounds), default=0),
    }
    return {name: _short(value) for name, value in found.items()}


def throughput(rounds: Sequence[Round], name: str) -> float | None:
    """The median of a contestant's rounds, in images per second."""
    mine = rates(rounds, name)
    return statistics.median(mine) if mine else None


def rates(rounds: Sequence[Round], name: str) -> list[float]:
    """Images per second of each of its rounds."""
    return [each.images_per_s for each in rounds if each.contestant == name]


def alone(latency: Sequence[Latency], name: str) -> Latency | None:
    """Its latency one job at a time."""
    return next((each for each in latency if each.contestant == name and each.load == ALONE), None)


def _short(value: float | int | str | None) -> float | int | str | None:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
