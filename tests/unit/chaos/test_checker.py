"""The checker reports each broken promise, and nothing where all were kept."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.checker import check
from tests.chaos.evidence import Evidence, Got, Said, Submission, id_at_provider

JOB, SHA = "11111111-1111-4111-8111-111111111111", "ab" * 32
KEY = f"acme/{JOB}/0/{SHA}"
FIRST, SECOND = f"{JOB}/0/1", f"{JOB}/0/2"
URL = "http://127.0.0.1:1/hook"
EVENTS = ("accepted", "started", "image_ready", "completed")


def said(seq: int, kind: str, **more: Any) -> Said:
    body = {"job_id": JOB, "seq": seq, "event": kind, "image": {"index": 0}} | more
    return Said(f"job.events:{JOB}/{seq}/{kind}", body)


def got(seq: int, body: bytes = b"{}") -> Got:
    return Got(f"{JOB}/{seq}", URL, body)


GOOD = Evidence(
    asked=(JOB,),
    told={JOB: URL},
    jobs={
        JOB: {
            "status": "completed",
            "seq": 4,
            "renders": [
                {
                    "state": "done",
                    "spec": {"index": 0},
                    "stored": {"key": KEY, "sha256": SHA},
                    "attempts": [{"n": 1, "outcome": "failed"}, {"n": 2, "outcome": "succeeded"}],
                }
            ],
        }
    },
    events=tuple(said(seq, kind) for seq, kind in enumerate(EVENTS, 1)),
    assets={f"{JOB}/0": {"state": "stored", "key": KEY}},
    objects={KEY: SHA, f"{KEY}.webp": "cd" * 32},
    attempts={
        FIRST: {"state": "failed", "billed": "unknown", "submissions": 1},
        SECOND: {"state": "succeeded", "billed": "yes", "submissions": 1},
    },
    submissions=(
        Submission("fal", "f1", FIRST, "failed"),
        Submission("modal", "m1", id_at_provider(SECOND), "succeeded"),
    ),
    got=tuple(got(seq) for seq in (1, 2, 3, 4)),
)


def changed(field: str, change: Callable[[Any], Any]) -> Evidence:
    value = deepcopy(getattr(GOOD, field))
    return replace(GOOD, **{field: change(value)})


def job(**fields: Any) -> Callable[[Any], Any]:
    return lambda jobs: {JOB: jobs[JOB] | fields}


def render(**fields: Any) -> Callable[[Any], Any]:
    return lambda jobs: {JOB: jobs[JOB] | {"renders": [jobs[JOB]["renders"][0] | fields]}}


def entry(attempt_id: str, **fields: Any) -> Callable[[Any], Any]:
    return lambda attempts: attempts | {attempt_id: attempts[attempt_id] | fields}


def without(key: str) -> Callable[[Any], Any]:
    return lambda items: {name: value for name, value in items.items() if name != key}


def test_promises_that_were_kept_are_no_faults() -> None:
    assert check(GOOD) == []


def test_an_event_or_a_webhook_that_is_said_again_is_no_fault() -> None:
    assert check(replace(GOOD, events=(*GOOD.events, *GOOD.events), got=(*GOOD.got, got(1), got(4)))) == []


def test_progress_is_not_numbered() -> None:
    assert check(replace(GOOD, events=(*GOOD.events, said(2, "progressed")))) == []


def test_a_submission_that_the_provider_lost_may_be_repeated() -> None:
    doubtful = changed("attempts", entry(SECOND, submissions=2))
    twice = (*GOOD.submissions, Submission("comfyui", "c2", id_at_provider(SECOND), "lost"))
    assert check(replace(doubtful, submissions=twice)) == []


def test_a_late_result_of_a_render_that_was_given_up_is_no_fault() -> None:
    assert check(changed("jobs", render(state="failed"))) == []


def test_a_stored_lora_is_a_result_too() -> None:
    lora = {f"{JOB}/0": {"state": "stored", "lora": {"key": KEY}}}
    trained = changed("jobs", render(stored=None, lora={"key": KEY, "sha256": SHA}))
    assert check(replace(trained, assets=lora)) == []


TWICE = (*GOOD.submissions, Submission("modal", "m2", id_at_provider(SECOND), "succeeded"))
FAULTS: dict[str, tuple[str, Evidence]] = {
    "no document": ("lost", changed("jobs", lambda _: {})),
    "still running": ("lost", changed("jobs", job(status="running"))),
    "end never said": ("lost", replace(GOOD, events=GOOD.events[:3])),
    "a job that nobody asked for is pending": (
        "lost",
        changed("jobs", lambda jobs: jobs | {"x": {"status": "pending", "seq": 0, "renders": []}}),
    ),
    "two ends": ("ended_twice", replace(GOOD, events=(*GOOD.events, said(5, "failed")))),
    "a gap": ("seq_gap", replace(GOOD, events=(*GOOD.events[:1], *GOOD.events[2:]))),
    "the last is missing": ("seq_gap", changed("jobs", job(seq=5))),
    "one number, two events": ("event_changed", replace(GOOD, events=(*GOOD.events, said(2, "accepted")))),
    "no asset": ("missing_asset", changed("assets", lambda _: {})),
    "an asset that was given up": ("missing_asset", changed("assets", entry(f"{JOB}/0", state="failed"))),
    "no object": ("missing_asset", changed("objects", without(KEY))),
    "other bytes": ("bad_asset", changed("objects", lambda objects: objects | {KEY: "00" * 32})),
    "another asset than was delivered": (
        "duplicate_asset",
        changed("assets", entry(f"{JOB}/0", key=f"acme/{JOB}/0/{'00' * 32}")),
    ),
    "delivered twice": (
        "duplicate_asset",
        replace(GOOD, events=(*GOOD.events[:3], said(4, "image_ready"), said(5, "completed"))),
    ),
    "no ledger entry": ("unexplained_submission", changed("attempts", without(SECOND))),
    "an id that nobody knows": (
        "unexplained_submission",
        replace(GOOD, submissions=(*GOOD.submissions, Submission("comfyui", "c9", None, "succeeded"))),
    ),
    "more than was intended": ("unexplained_submission", replace(GOOD, submissions=TWICE)),
    "twice without a doubt": (
        "unexplained_submission",
        replace(changed("attempts", entry(SECOND, submissions=2)), submissions=TWICE),
    ),
    "rendered and not billed": ("unexplained_submission", changed("attempts", entry(SECOND, billed="no"))),
    "a second attempt beside the first": (
        "unexplained_submission",
        changed("jobs", render(attempts=[{"n": 1, "outcome": "open"}, {"n": 2, "outcome": "succeeded"}])),
    ),
    "an end that never arrived": ("missing_notification", replace(GOOD, got=GOOD.got[:3])),
    "copies that differ": ("changed_notification", replace(GOOD, got=(*GOOD.got, got(2, b"{ }")))),
    "first copies out of order": (
        "unordered_notification",
        replace(GOOD, got=(got(2), got(1), got(3), got(4))),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_broken_promise_is_reported(name: str) -> None:
    kind, evidence = FAULTS[name]
    assert kind in {fault.kind for fault in check(evidence)}
