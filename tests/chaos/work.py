"""Whether a run did what it was started for: asked all, broke all, and what the API said meanwhile."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.faults import Fault

TAKEN, LATER, SILENT = "202", "503, retry later", "no answer"
KAFKA_TAKEN, KAFKA_SILENT = "kafka: taken", "kafka: no answer"
EXPECTED = (TAKEN, LATER, SILENT, KAFKA_TAKEN, KAFKA_SILENT)
MOST_GROWTH_MB = 150
"""So much more memory than before the first outage may a service have held at its largest."""


@dataclass(frozen=True)
class Work:
    """What was planned and done."""

    planned: int
    asked: int
    failures: Sequence[str] = ()
    """What ended the breaking, or a part of it, before its time."""
    spared: Sequence[str] = ()
    """Kinds of processes that were never broken."""
    answers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """How often a request was answered how, by what was broken then."""
    outages: Sequence[str] = ()
    """Those of its keys during which the API had to answer all the same."""
    before_mb: Mapping[str, int] = field(default_factory=dict)
    most_mb: Mapping[str, int] = field(default_factory=dict)


def undone(work: Work) -> Iterator[Fault]:
    """Faults of the run itself, of the API's answers and of the services' memory."""
    if work.asked < work.planned:
        yield Fault("run", "load", f"{work.asked} of {work.planned} jobs were asked for")
    for failure in work.failures:
        yield Fault("run", "trouble", f"it ended by itself: {failure}")
    for kind in work.spared:
        yield Fault("run", kind, "it was never broken")
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
        if not counts.get(TAKEN, 0) + counts.get(LATER, 0):
            yield Fault("bad_answer", f"during {during}", f"the API said neither 202 nor 503: {dict(counts)}")
