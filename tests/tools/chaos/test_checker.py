"""The checker reports each broken promise, and nothing if all were kept."""

from dataclasses import replace

import pytest

from tests.chaos.checker import check
from tests.chaos.evidence import Evidence, Submission, id_at_provider
from tests.tools.chaos.evidence_of_a_job import (
    EVENTS,
    FIRST,
    GOOD,
    JOB,
    KEY,
    SECOND,
    SHA,
    at,
    attempt,
    changed,
    entry,
    job,
    published,
    render,
    webhook,
    without,
)


def test_kept_promises_are_not_reported() -> None:
    assert check(GOOD) == []


def test_a_repeated_event_or_webhook_is_not_reported() -> None:
    assert (
        check(
            replace(
                GOOD, events=(*GOOD.events, *GOOD.events), webhooks=(*GOOD.webhooks, webhook(1), webhook(4))
            )
        )
        == []
    )


def test_progress_is_not_numbered() -> None:
    assert check(replace(GOOD, events=(*GOOD.events, published(2, "progressed")))) == []


def test_a_submission_that_the_provider_lost_may_be_repeated() -> None:
    doubtful = changed("attempts", entry(SECOND, submissions=2))
    twice = (*GOOD.submissions, Submission("comfyui", "c2", id_at_provider(SECOND), "lost", at(4)))
    assert check(replace(doubtful, submissions=twice)) == []


def test_a_late_result_in_the_bucket_is_not_reported() -> None:
    late = replace(changed("jobs", render(state="failed")), events=GOOD.events[:2])
    assert not {"orphan_object", "missing_asset"} & {fault.kind for fault in check(late)}


def test_a_stored_lora_counts_as_a_result() -> None:
    lora = {f"{JOB}/0": {"state": "stored", "lora": {"key": KEY}}}
    webhook_urls = {"key": KEY, "sha256": SHA}
    trained = changed("jobs", render(stored=None, lora=webhook_urls))
    ready = published(3, "image_ready", image={"index": 0, "lora": webhook_urls})
    events = (*GOOD.events[:2], ready, GOOD.events[3])
    assert check(replace(trained, assets=lora, events=events)) == []


TWICE = (*GOOD.submissions, Submission("modal", "m2", id_at_provider(SECOND), "succeeded", at(4)))
FAULTS: dict[str, tuple[str, Evidence]] = {
    "no document": ("lost", changed("jobs", lambda _: {})),
    "still running": ("lost", changed("jobs", job(status="running"))),
    "end never said": ("lost", replace(GOOD, events=GOOD.events[:3])),
    "a job that nobody asked for is pending": (
        "lost",
        changed(
            "jobs",
            lambda jobs: jobs | {"x": {"status": "pending", "seq": 0, "renders": [], "error": None}},
        ),
    ),
    "two ends": ("ended_twice", replace(GOOD, events=(*GOOD.events, published(5, "failed")))),
    "a gap": ("seq_gap", replace(GOOD, events=(*GOOD.events[:1], *GOOD.events[2:]))),
    "the last is missing": ("seq_gap", changed("jobs", job(seq=5))),
    "one number, two events": (
        "event_changed",
        replace(GOOD, events=(*GOOD.events, published(2, "accepted"))),
    ),
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
        replace(GOOD, events=(*GOOD.events[:3], published(4, "image_ready"), published(5, "completed"))),
    ),
    "no ledger entry": ("unexplained_submission", changed("attempts", without(SECOND))),
    "an id that nobody knows": (
        "unexplained_submission",
        replace(GOOD, submissions=(*GOOD.submissions, Submission("comfyui", "c9", None, "succeeded", at(4)))),
    ),
    "more than was intended": ("unexplained_submission", replace(GOOD, submissions=TWICE)),
    "twice without a doubt": (
        "unexplained_submission",
        replace(changed("attempts", entry(SECOND, submissions=2)), submissions=TWICE),
    ),
    "rendered and not billed": ("unexplained_submission", changed("attempts", entry(SECOND, billed="no"))),
    "a second attempt beside the first": (
        "unexplained_submission",
        replace(
            changed("jobs", render(attempts=[attempt(1, "open"), attempt(2, "succeeded")])),
            attempts=changed("attempts", entry(FIRST, state="submitted", finished_at=None)).attempts,
        ),
    ),
    "a second attempt beside the first, which failed later": (
        "unexplained_submission",
        changed("attempts", entry(FIRST, finished_at=at(4))),
    ),
    "a second attempt after a first one that did not fail": (
        "unexplained_submission",
        replace(
            changed("jobs", render(attempts=[attempt(1, "succeeded"), attempt(2, "succeeded")])),
            attempts=changed("attempts", entry(FIRST, state="succeeded")).attempts,
        ),
    ),
    "asked for again under the same id": (
        "unexplained_submission",
        replace(GOOD, submissions=(GOOD.submissions[0], replace(GOOD.submissions[1], requests=2))),
    ),
    "an object that no asset names": (
        "orphan_object",
        changed("objects", lambda objects: objects | {f"acme/{JOB}/0/{'00' * 32}": "00" * 32}),
    ),
    "another result was said than is kept": (
        "duplicate_asset",
        replace(
            GOOD,
            events=(
                *GOOD.events[:2],
                published(3, "image_ready", image={"index": 0, "stored": {"key": "x", "sha256": SHA}}),
                GOOD.events[3],
            ),
        ),
    ),
    "said to be ready, and its job does not know": (
        "missing_asset",
        changed("jobs", render(state="failed")),
    ),
    "done, and never said": (
        "missing_asset",
        replace(GOOD, events=(*GOOD.events[:2], published(3, "started"), GOOD.events[3])),
    ),
    "still under way": ("stuck", replace(GOOD, under_way=("deliveries: x/1",))),
    "a dead letter": (
        "dead_letter",
        replace(
            GOOD,
            dead_letters=[
                {
                    "service": "dispatcher",
                    "reason": "handler_failed",
                    "error": "KeyError",
                    "original_topic": "result.stored.v1",
                    "original_partition": 0,
                    "original_offset": 7,
                }
            ],
        ),
    ),
    "an end that never arrived": ("missing_notification", replace(GOOD, webhooks=GOOD.webhooks[:3])),
    "it went to somebody else": (
        "stray_notification",
        replace(GOOD, webhooks=(*GOOD.webhooks, webhook(4, url="http://x/"))),
    ),
    "only somebody else got it": (
        "missing_notification",
        replace(GOOD, webhooks=(*GOOD.webhooks[:3], webhook(4, url="http://x/"))),
    ),
    "it carries another event": (
        "changed_notification",
        replace(GOOD, webhooks=(*GOOD.webhooks[:3], webhook(4, GOOD.webhooks[2].body))),
    ),
    "it is signed with another tenant's secret": (
        "bad_signature",
        replace(GOOD, webhooks=(*GOOD.webhooks[:3], webhook(4, tenant="globex"))),
    ),
    "copies that differ": (
        "changed_notification",
        replace(GOOD, webhooks=(*GOOD.webhooks, webhook(2, b"{ }"))),
    ),
    "first copies out of order": (
        "unordered_notification",
        replace(GOOD, webhooks=(webhook(2), webhook(1), webhook(3), webhook(4))),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_broken_promise_is_reported(name: str) -> None:
    kind, evidence = FAULTS[name]
    assert kind in {fault.kind for fault in check(evidence)}


@pytest.mark.parametrize(
    "left",
    [
        "lag: dispatcher: render.failed.v1/0: 3",
        "submissions outbox: x",
        f"attempts: {FIRST}",
        f"assets: {JOB}/0",
    ],
)
def test_a_job_with_work_left_to_do_is_slow_and_not_lost(left: str) -> None:
    slow = replace(changed("jobs", job(status="running")), under_way=(left,))
    assert {fault.kind for fault in check(slow)} == {"unfinished", "stuck"}


def test_a_job_that_waits_for_its_next_try_is_slow_and_not_lost() -> None:
    resting = changed("jobs", job(status="running", wake_at=at(1), deadline_at=at(9)))
    assert {fault.kind for fault in check(resting)} == {"unfinished"}


@pytest.mark.parametrize("left", [f"deliveries: {JOB}/{len(EVENTS)}", "lag: notifier: job.events.v1/0: 1"])
def test_a_webhook_with_tries_left_is_stuck_and_not_missing(left: str) -> None:
    assert {fault.kind for fault in check(replace(GOOD, webhooks=GOOD.webhooks[:3], under_way=(left,)))} == {
        "stuck"
    }
