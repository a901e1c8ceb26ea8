"""A cancel ends a job at once, even if it arrives before the plan."""

import pytest

from tests.fakes.builders import JOB, a_cancel, a_plan, a_rejection, due, failed, progressed, stored
from tests.unit.dispatcher.job_harness import JobHarness


def test_a_cancel_stops_what_runs_and_ends_the_job() -> None:
    harness = JobHarness(a_plan(images=2), stored(0)).receive(a_cancel())
    assert harness.cancelled() == [f"{JOB}/1/1"]
    event = harness.event("failed")
    assert event.error is not None
    assert (event.error.code, event.error.message) == ("cancelled", "changed my mind")
    assert (harness.job.status, harness.job.delivered, harness.job.wake_at) == ("failed", 1, None)


def test_a_cancel_also_ends_a_job_that_waits_for_its_retry() -> None:
    harness = JobHarness(a_plan(), failed()).receive(a_cancel())
    assert harness.events() == ["image_failed", "failed"]
    assert not harness.cancelled()
    assert not harness.at(60).receive(due(harness.now)).outputs


def test_a_second_cancel_changes_nothing() -> None:
    harness = JobHarness(a_plan(), a_cancel())
    before = harness.job
    assert not harness.receive(a_cancel()).outputs
    assert harness.job is before


def test_a_completed_job_cannot_be_cancelled() -> None:
    harness = JobHarness(a_plan(), stored()).receive(a_cancel())
    assert not harness.outputs
    assert harness.job.status == "completed"


def test_another_tenant_cannot_cancel_a_job() -> None:
    harness = JobHarness(a_plan())
    before = harness.job
    assert not harness.receive(a_cancel(tenant="other")).outputs
    assert harness.job is before


def test_nothing_revives_a_cancelled_job() -> None:
    harness = JobHarness(a_plan(), a_cancel())
    before = harness.job
    harness.receive(a_plan(), progressed(), failed(), stored(), due(harness.now))
    assert not harness.outputs
    assert harness.job is before


def test_a_cancel_before_its_plan_publishes_nothing_until_the_plan_arrives() -> None:
    harness = JobHarness(a_cancel())
    assert not harness.outputs
    assert (harness.job.status, harness.job.seq) == ("failed", 0)


def test_a_plan_cannot_revive_the_job_that_was_cancelled_before_it() -> None:
    harness = JobHarness(a_cancel()).receive(a_plan(images=2))
    assert harness.events() == ["accepted", "image_failed", "image_failed", "failed"]
    assert not harness.commands()
    assert harness.event("failed").error == harness.job.error
    assert harness.job.error is not None
    assert (harness.job.error.code, harness.job.error.message) == ("cancelled", "changed my mind")
    assert (harness.job.user_id, harness.job.requested, harness.job.wake_at) == ("ann", 2, None)
    assert not harness.receive(a_plan(images=2)).outputs


def test_a_rejection_after_a_cancel_is_still_published() -> None:
    harness = JobHarness(a_cancel()).receive(a_rejection())
    assert harness.events() == ["failed"]
    assert harness.job.error is not None
    assert harness.job.error.code == "rejected"


def test_another_tenants_early_cancel_neither_stops_nor_blocks_the_plan() -> None:
    harness = JobHarness(a_cancel(tenant="other")).receive(a_plan())
    assert harness.events() == ["accepted"]
    assert harness.commands() == [f"{JOB}/0/1"]
    assert (harness.job.tenant, harness.job.error, harness.job.status) == ("acme", None, "pending")


@pytest.mark.parametrize("tenants", [("other", "acme"), ("acme", "other"), ("other", "third", "acme")])
def test_another_tenants_early_cancel_does_not_hide_the_owners(tenants: tuple[str, ...]) -> None:
    cancels = [a_cancel(tenant=tenant, reason=f"{tenant} says so") for tenant in tenants]
    harness = JobHarness(*cancels, *cancels).receive(a_plan())
    assert harness.events() == ["accepted", "image_failed", "failed"]
    assert not harness.commands()
    assert harness.job.error is not None
    assert (harness.job.tenant, harness.job.error.message) == ("acme", "acme says so")
