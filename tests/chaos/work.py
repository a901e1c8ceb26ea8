"""Checks of the run itself: all orders submitted, all faults injected, the API answered."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.faults import Fault

ACCEPTED, LATER, SILENT = "202", "503, retry later", "no answer"
KAFKA_ACCEPTED, KAFKA_SILENT = "kafka: accepted", "kafka: no answer"
EXPECTED = (ACCEPTED, LATER, SILENT, KAFKA_ACCEPTED, KAFKA_SILENT)
MOST_GROWTH_MB = 150
"""Maximum growth of a service's memory over its largest value before the first outage."""


@dataclass(frozen=True)
class Work:
    """Planned and completed work of a run."""

    planned: int
    asked: int
    failures: Sequence[str] = ()
    """Errors that ended the fault injection, or a part of it, early."""
    missed: Sequence[str] = ()
    """Kinds of processes that had no fault."""
    answers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Number of responses of each kind, by the outage at that time."""
    outages: Sequence[str] = ()
    """Outages during which the API had to answer."""
    before_mb: Mapping[str, int] = field(default_factory=dict)
    most_mb: Mapping[str, int] = field(default_factory=dict)


def unfinished_work(work: Work) -> Iterator[Fault]:
    """Find faults of the run itself, of the API's answers and of the services' memory."""
    if work.asked < work.planned:
        yield Fault("run", "load", f"{work.asked} of {work.planned} jobs were submitted")
    for failure in work.failures:
        yield Fault("run", "fault injection", f"it ended early: {failure}")
    for kind in work.missed:
        yield Fault("run", kind, "it had no fault")
    yield from _answers(work)
    for name, most in work.most_mb.items():
        grown = most - work.before_mb.get(name, most)
        if grown > MOST_GROWTH_MB:
            yield Fault("memory", name, f"{most} MB at its largest, {grown} more than before the outages")


def _answers(work: Work) -> Iterator[Fault]:
    for during, counts in work.answers.items():
        for answer in sorted(set(counts) - set(EXPECTED)):
            yield Fault("bad_answer", f"during {during}", f"{answer}, {counts[answer]} times")
    for during in work.outages:
        counts = work.answers.get(during, {})
        if not counts.get(ACCEPTED, 0) + counts.get(LATER, 0):
            yield Fault(
                "bad_answer", f"during {during}", f"the API answered neither 202 nor 503: {dict(counts)}"
            )
