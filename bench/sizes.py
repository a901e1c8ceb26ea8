"""How much is measured: all of it, or just enough to see that it works."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of one run of the benchmark. Seconds where nothing else is said."""

    rounds: int
    most_open: int
    """Of jobs at once, whatever suits a contestant best."""
    warm_up: float
    measured: float
    latency_rounds: int
    one_at_a_time: int
    steady: float
    in_flight: tuple[int, ...]
    grown: float
    """Until the pauses between the polls of an attempt have grown to their longest."""
    watched: float
    """How long attempts in flight are looked at."""
    in_flight_patience: float
    finished_jobs: tuple[int, ...]
    growth_rounds: int
    processes_each: tuple[int, ...]


FULL = Sizes(
    rounds=5,
    most_open=1_000,
    warm_up=2.0,
    measured=8.0,
    latency_rounds=2,
    one_at_a_time=60,
    steady=8.0,
    in_flight=(100, 1_000, 10_000, 30_000),
    grown=15.0,
    watched=6.0,
    in_flight_patience=240.0,
    finished_jobs=(1_000, 10_000, 100_000),
    growth_rounds=2,
    processes_each=(1, 2, 4),
)
"""Within 40 minutes on two cores."""

QUICK = Sizes(
    rounds=1,
    most_open=16,
    warm_up=0.5,
    measured=1.0,
    latency_rounds=1,
    one_at_a_time=8,
    steady=1.0,
    in_flight=(50,),
    grown=1.0,
    watched=1.0,
    in_flight_patience=30.0,
    finished_jobs=(100, 400),
    growth_rounds=1,
    processes_each=(1, 2),
)
"""Meant for three minutes; its figures mean nothing."""
