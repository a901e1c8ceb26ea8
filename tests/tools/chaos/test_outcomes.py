"""Outcomes of jobs and chains that a run explains, and outcomes that are faults."""

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.checker import check
from tests.chaos.evidence import Document, Evidence, Submission
from tests.chaos.faults import Kind
from tests.chaos.load import Order
from tests.tools.chaos.evidence_of_a_job import (
    GOOD,
    JOB,
    ORDER,
    at,
    attempt,
    changed,
    job,
    published,
    render,
)

STEPS = ({"type": "lora_training"}, {"type": "studio"})
BY_PROVIDER = ("provider_error",) * 4


def kinds(evidence: Evidence) -> set[Kind]:
    return {fault.kind for fault in check(evidence)} & {"wrong_end", "stalled_chain"}


def failed(code: str, **order: Any) -> Evidence:
    """Return evidence of a job that failed without a render."""
    error = {"code": code, "message": "why"}
    jobs = changed("jobs", job(status="failed", error=error, renders=[])).jobs
    return replace(GOOD, jobs=jobs, orders={JOB: replace(ORDER, **order)})


def broken(*codes: str, submission_log: str = "failed", outcome: str = "failed") -> Evidence:
    """Return evidence of a job whose attempts all failed, with these codes."""
    attempts = [attempt(n, outcome, code) for n, code in enumerate(codes, 1)]
    dead = changed("jobs", render(state="failed", attempts=attempts, error=None)).jobs
    error = {"code": "provider_failed", "message": "why"}
    names = [f"{JOB}/0/{n}" for n in range(1, len(codes) + 1)]
    times = {"submissions": 1, "billed": "unknown", "state": "failed", "finished_at": at(9)}
    return replace(
        GOOD,
        jobs={JOB: {**dead[JOB], "status": "failed", "error": error, "failed": 1}},
        attempts=dict.fromkeys(names, times),
        submissions=[Submission("fal", name, name, submission_log, at(1)) for name in names],
        events=(*GOOD.events[:2], published(3, "image_failed"), published(4, "failed")),
    )


@pytest.mark.parametrize(
    "code", ["deadline_exceeded", "no_provider", "input_not_found", "job_id_conflict", "lora_failed", "odd"]
)
def test_a_code_that_the_load_cannot_cause_is_a_fault(code: str) -> None:
    assert kinds(failed(code)) == {"wrong_end"}


def test_only_an_order_with_a_cancel_may_be_cancelled() -> None:
    assert kinds(failed("cancelled")) == {"wrong_end"}
    assert kinds(failed("cancelled", cancelled_after=1.0)) == set()


def test_only_invalid_input_may_be_rejected() -> None:
    assert kinds(failed("rejected", kind="nonsense")) == set()
    assert kinds(failed("rejected")) == {"wrong_end"}
    assert kinds(failed("provider_failed", kind="nonsense")) == {"wrong_end"}
    assert kinds(replace(GOOD, orders={JOB: replace(ORDER, kind="nonsense")})) == {"wrong_end"}


def test_four_failures_in_the_submission_log_explain_a_failed_job() -> None:
    assert kinds(broken(*BY_PROVIDER)) == set()


def test_a_lost_answer_of_fal_explains_a_failed_job() -> None:
    assert kinds(broken(*BY_PROVIDER[:3], "outcome_unknown")) == set()


@pytest.mark.parametrize(
    "evidence",
    [
        broken(*BY_PROVIDER, submission_log="succeeded"),
        broken("provider_unreachable", *BY_PROVIDER[:3], submission_log="cancelled"),
        broken(*BY_PROVIDER[:2]),
        broken(*BY_PROVIDER, outcome="cancelled"),
        broken(),
        changed("jobs", render(state="failed", attempts=[attempt(1, "cancelled")])),
        changed("jobs", render(state="running")),
        failed("provider_failed"),
    ],
    ids=["not broken", "unreachable", "given up", "stopped", "never tried", "partial", "open", "no image"],
)
def test_a_failure_without_confirmation_is_a_fault(evidence: Evidence) -> None:
    assert kinds(evidence) == {"wrong_end"}


def chain(state: str, *job_ids: str) -> Evidence:
    """Return evidence of a chain of three steps with the jobs of their tries."""
    steps = [{"tries": [{"job_id": job_id}]} for job_id in job_ids]
    order = Order(JOB, "acme", "chain", {"type": "character_sheet"}, then=STEPS, webhook=ORDER.webhook)
    good = GOOD.jobs[JOB]
    more: dict[str, Document] = {
        "ok": {**good, "renders": [], "chain_id": JOB},
        "bad": failed("lora_failed").jobs[JOB],
    }
    document = {"state": state, "steps": steps}
    return replace(GOOD, orders={JOB: order}, chains={JOB: document}, jobs={**GOOD.jobs, **more})


def test_a_chain_may_complete_and_may_fail_with_its_jobs() -> None:
    assert "stalled_chain" not in kinds(chain("completed", JOB, "ok", "ok"))
    assert "stalled_chain" not in kinds(chain("failed", JOB, "bad", "bad"))


@pytest.mark.parametrize(
    "evidence",
    [
        replace(chain("completed", JOB, "ok", "ok"), chains={}),
        chain("running", JOB, "bad", "bad"),
        chain("completed", JOB, "ok"),
        chain("completed", JOB, "ok", "bad"),
        chain("failed", JOB, "ok", "ok"),
        chain("cancelled", JOB, "ok", "ok"),
    ],
    ids=["none", "running", "too short", "job failed", "no reason", "nobody cancelled"],
)
def test_a_chain_that_stalls_or_ends_without_a_reason_is_a_fault(evidence: Evidence) -> None:
    assert "stalled_chain" in kinds(evidence)


def test_an_image_that_waited_for_a_lora_may_fail_with_its_training() -> None:
    waiting = {**failed("lora_failed").jobs[JOB], "chain_id": "c"}
    training = {**waiting, "type": "lora_training", "error": {"code": "cancelled", "message": ""}}
    orders = {"t": replace(ORDER, cancelled_after=1.0)}
    assert kinds(replace(GOOD, jobs={JOB: waiting, "t": training}, orders=orders)) == set()
