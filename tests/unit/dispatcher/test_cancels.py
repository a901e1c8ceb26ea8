"""A cancel ends a job at once, also when it overtakes the plan."""

import pytest

from tests.fakes.builders import JOB, a_cancel, a_plan, a_rejection, due, failed, progressed, stored
from tests.unit.dispatcher.life import Life


def test_a_cancel_stops_what_runs_and_ends_the_job() -> None:
    life = Life(a_plan(images=2), stored(0)).hear(a_cancel())
    assert life.stopped() == [f"{JOB}/1/1"]
    event = life.event("failed")
    assert event.error is not None
    assert (event.error.code, event.error.message) == ("cancelled", "changed my mind")
    assert (life.job.status, life.job.delivered, life.job.wake_at) == ("failed", 1, None)


def test_a_cancel_also_ends_a_job_that_waits_for_its_retry() -> None:
    life = Life(a_plan(), failed()).hear(a_cancel())
    assert life.events() == ["image_failed", "failed"]
    assert not life.stopped()
    assert not life.at(60).hear(due(life.now)).said


def test_a_second_cancel_changes_nothing() -> None:
    life = Life(a_plan(), a_cancel())
    before = life.job
    assert not life.hear(a_cancel()).said
    assert life.job is before


def test_a_completed_job_cannot_be_cancelled() -> None:
    life = Life(a_plan(), stored()).hear(a_cancel())
    assert not life.said
    assert life.job.status == "completed"


def test_another_tenant_cannot_cancel_a_job() -> None:
    life = Life(a_plan())
    before = life.job
    assert not life.hear(a_cancel(tenant="other")).said
    assert life.job is before


def test_nothing_revives_a_cancelled_job() -> None:
    life = Life(a_plan(), a_cancel())
    before = life.job
    life.hear(a_plan(), progressed(), failed(), stored(), due(life.now))
    assert not life.said
    assert life.job is before


def test_a_cancel_before_its_plan_says_nothing_until_the_plan_comes() -> None:
    life = Life(a_cancel())
    assert not life.said
    assert (life.job.status, life.job.seq) == ("failed", 0)


def test_a_plan_cannot_revive_the_job_that_was_cancelled_before_it() -> None:
    life = Life(a_cancel()).hear(a_plan(images=2))
    assert life.events() == ["accepted", "image_failed", "image_failed", "failed"]
    assert not life.commands()
    assert life.event("failed").error == life.job.error
    assert life.job.error is not None
    assert (life.job.error.code, life.job.error.message) == ("cancelled", "changed my mind")
    assert (life.job.user_id, life.job.requested, life.job.wake_at) == ("ann", 2, None)
    assert not life.hear(a_plan(images=2)).said


def test_a_rejection_after_a_cancel_is_still_said() -> None:
    life = Life(a_cancel()).hear(a_rejection())
    assert life.events() == ["failed"]
    assert life.job.error is not None
    assert life.job.error.code == "rejected"


def test_another_tenants_early_cancel_neither_stops_nor_blocks_the_plan() -> None:
    life = Life(a_cancel(tenant="other")).hear(a_plan())
    assert life.events() == ["accepted"]
    assert life.commands() == [f"{JOB}/0/1"]
    assert (life.job.tenant, life.job.error, life.job.status) == ("acme", None, "pending")


@pytest.mark.parametrize("tenants", [("other", "acme"), ("acme", "other"), ("other", "third", "acme")])
def test_another_tenants_early_cancel_does_not_hide_the_owners(tenants: tuple[str, ...]) -> None:
    cancels = [a_cancel(tenant=tenant, reason=f"{tenant} says so") for tenant in tenants]
    life = Life(*cancels, *cancels).hear(a_plan())
    assert life.events() == ["accepted", "image_failed", "failed"]
    assert not life.commands()
    assert life.job.error is not None
    assert (life.job.tenant, life.job.error.message) == ("acme", "acme says so")
