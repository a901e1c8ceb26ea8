"""Sizes of a run: everything, or just enough to check that it works."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of one run of the benchmark; durations are in seconds."""

    rounds: int
    max_open_jobs: int
    """Maximum number of concurrently open jobs for any contestant."""
    warm_up: float
    measured: float
    latency_rounds: int
    one_at_a_time: int
    steady: float
    in_flight: tuple[int, ...]
    grown: float
    """Time until the intervals between polls of an attempt have reached their maximum."""
    observed: float
    """Time for which attempts in flight are observed."""
    in_flight_patience: float
    finished_jobs: tuple[int, ...]
    growth_rounds: int
    processes_each: tuple[int, ...]


FULL = Sizes(
    rounds=5,
    max_open_jobs=1_000,
    warm_up=2.0,
    measured=8.0,
    latency_rounds=2,
    one_at_a_time=60,
    steady=8.0,
    in_flight=(100, 1_000, 10_000, 30_000),
    grown=15.0,
    observed=6.0,
    in_flight_patience=240.0,
    finished_jobs=(1_000, 10_000, 100_000),
    growth_rounds=2,
    processes_each=(1, 2, 4),
)
"""Sizes for at most 40 minutes on two cores."""

QUICK = Sizes(
    rounds=1,
    max_open_jobs=16,
    warm_up=0.5,
    measured=1.0,
    latency_rounds=1,
    one_at_a_time=8,
    steady=1.0,
    in_flight=(50,),
    grown=1.0,
    observed=1.0,
    in_flight_patience=30.0,
    finished_jobs=(100, 400),
    growth_rounds=1,
    processes_each=(1, 2),
)
"""Sizes for about three minutes; the figures are meaningless."""
