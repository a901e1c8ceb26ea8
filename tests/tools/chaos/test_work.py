"""A run that did not do its work is no good run, whatever the checker found."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.evidence import Evidence
from tests.chaos.faults import Fault
from tests.chaos.plan import Plan
from tests.chaos.report import Report
from tests.chaos.work import LATER, TAKEN, Work, undone

DONE = Work(
    planned=60,
    asked=60,
    answers={"mongo": {TAKEN: 3, LATER: 5, "no answer": 1, "kafka: taken": 4}},
    outages=("mongo",),
    before_mb={"api": 80},
    most_mb={"api": 230},
)


def test_work_that_was_done_is_no_fault() -> None:
    assert list(undone(DONE)) == []


@pytest.mark.parametrize(
    ("kind", "work"),
    [
        ("run", replace(DONE, asked=59)),
        ("run", replace(DONE, failures=["TimeoutError()"])),
        ("run", replace(DONE, spared=["notifier"])),
        ("bad_answer", replace(DONE, answers={"mongo": {TAKEN: 1, "500 oops": 2}})),
        ("bad_answer", replace(DONE, answers={"mongo": {"no answer": 9}})),
        ("bad_answer", replace(DONE, answers={})),
        ("memory", replace(DONE, most_mb={"api": 231})),
    ],
    ids=["asked less", "ended early", "spared", "500", "silent", "never asked", "memory"],
)
def test_work_that_was_not_done_is_a_fault(kind: str, work: Work) -> None:
    assert [fault.kind for fault in undone(work)] == [kind]


def test_the_last_line_counts_every_way_of_being_lost() -> None:
    faults = [Fault("wrong_end", "x", ""), Fault("stalled_chain", "x", ""), Fault("run", "load", "")]
    plan = Plan(jobs=1, seed=1, seconds=1.0, out=Path("out"))
    line = Report(plan, Evidence(), DONE, faults, {}, 0, 1.0).last_line()
    assert (line["lost"], line["faults"]) == (2, 3)
