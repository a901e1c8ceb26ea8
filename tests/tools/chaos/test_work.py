"""An incomplete run is a fault, whatever the checker found."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.evidence import Evidence
from tests.chaos.faults import Fault
from tests.chaos.plan import Plan
from tests.chaos.report import Report
from tests.chaos.work import ACCEPTED, LATER, Work, unfinished_work

DONE = Work(
    planned=60,
    asked=60,
    answers={"mongo": {ACCEPTED: 3, LATER: 5, "no answer": 1, "kafka: accepted": 4}},
    outages=("mongo",),
    before_mb={"api": 80},
    most_mb={"api": 230},
)


def test_complete_work_is_not_reported() -> None:
    assert list(unfinished_work(DONE)) == []


@pytest.mark.parametrize(
    ("kind", "work"),
    [
        ("run", replace(DONE, asked=59)),
        ("run", replace(DONE, failures=["TimeoutError()"])),
        ("run", replace(DONE, missed=["notifier"])),
        ("bad_answer", replace(DONE, answers={"mongo": {ACCEPTED: 1, "500 oops": 2}})),
        ("bad_answer", replace(DONE, answers={"mongo": {"no answer": 9}})),
        ("bad_answer", replace(DONE, answers={})),
        ("memory", replace(DONE, most_mb={"api": 231})),
    ],
    ids=["submitted less", "ended early", "missed", "500", "silent", "never submitted", "memory"],
)
def test_incomplete_work_is_reported(kind: str, work: Work) -> None:
    assert [fault.kind for fault in unfinished_work(work)] == [kind]


def test_the_last_line_counts_every_kind_of_loss() -> None:
    faults = [Fault("wrong_end", "x", ""), Fault("stalled_chain", "x", ""), Fault("run", "load", "")]
    plan = Plan(jobs=1, seed=1, seconds=1.0, out=Path("out"))
    line = Report(plan, Evidence(), DONE, faults, {}, 0, 1.0).last_line()
    assert (line["lost"], line["faults"]) == (2, 3)
