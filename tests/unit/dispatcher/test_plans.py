"""A job begins with its plan, or ends with its rejection."""

import pytest

from contracts.generation import GenerationConflicted
from contracts.jobs import JobEvent
from contracts.renders import RenderRequested
from services.dispatcher.domain import JobIdConflict
from tests.fakes.builders import CHAIN, JOB, START, a_plan, a_rejection, after, stored
from tests.unit.dispatcher.job_harness import JobHarness


def test_a_plan_is_accepted_and_each_of_its_renders_commanded() -> None:
    harness = JobHarness(a_plan(images=3))
    assert harness.events() == ["accepted"]
    assert harness.commands() == [f"{JOB}/0/1", f"{JOB}/1/1", f"{JOB}/2/1"]
    assert (harness.job.status, harness.job.phase, harness.job.requested) == ("pending", "queued", 3)
    assert [render.state for render in harness.job.renders] == ["queued"] * 3


def test_a_command_carries_all_that_a_gateway_needs() -> None:
    plan = a_plan(model="sdxl", workflow={"3": {"class_type": "KSampler"}})
    (command,) = JobHarness(plan).only(RenderRequested)
    assert command.render_id == f"{JOB}/0"
    assert command.spec == plan.renders[0]
    assert (command.tenant, command.model, command.workflow) == ("acme", "sdxl", plan.workflow)
    assert (command.provider, command.priority, command.deadline_at) == ("modal", 1, after(300))


def test_the_deadline_counts_from_the_request_not_from_the_plan() -> None:
    harness = JobHarness().at(20).receive(a_plan())
    assert harness.job.deadline_at == after(300)
    assert harness.job.wake_at == after(300)
    assert (harness.job.requested_at, harness.job.accepted_at) == (START, after(20))


def test_events_name_the_user_and_the_progress_of_the_job() -> None:
    plan = a_plan(images=2, chain_id=CHAIN, notify={"webhook_url": "https://example.com/hook"})
    event = JobHarness().at(1.5).receive(plan).event("accepted")
    assert (event.tenant, event.user_id, event.type, event.chain_id) == ("acme", "ann", "studio", CHAIN)
    assert (event.seq, event.requested, event.delivered, event.failed) == (1, 2, 0, 0)
    assert (event.elapsed_seconds, event.target_seconds, event.webhook) == (1.5, 15, True)


def test_a_repeated_plan_changes_nothing() -> None:
    harness = JobHarness(a_plan(), stored())
    before = harness.job
    harness.receive(a_plan())
    assert harness.job is before
    assert not harness.outputs


@pytest.mark.parametrize("other", [{"tenant": "other"}, {"request_hash": "def"}])
@pytest.mark.parametrize("again", [a_plan, a_rejection])
def test_another_request_under_a_known_job_id_is_a_conflict(other: dict[str, str], again: type) -> None:
    harness = JobHarness(a_plan())
    before = harness.job
    with pytest.raises(JobIdConflict, match="use a new job_id") as conflict:
        harness.receive(again(**other))
    assert conflict.value.reason == "job_id_conflict"
    assert harness.job is before


@pytest.mark.parametrize("again", [a_plan, a_rejection])
def test_a_chain_that_waits_for_a_foreign_job_gets_a_conflict(again: type) -> None:
    harness = JobHarness(a_plan())
    before = harness.job
    others: tuple[dict[str, str], ...] = ({"request_hash": "def"}, {"tenant": "other"}, {})
    for fields in others:
        harness.receive(again(chain_id=CHAIN, **fields))
        (told,) = harness.only(GenerationConflicted)
        assert (told.job_id, told.chain_id, told.tenant) == (JOB, CHAIN, fields.get("tenant", "acme"))
        assert "use a new job_id" in told.reason
        assert harness.job is before
    harness = JobHarness(a_plan(chain_id=CHAIN))
    assert not harness.receive(again(chain_id=CHAIN)).outputs
    with pytest.raises(JobIdConflict):
        harness.receive(again(chain_id=CHAIN, request_hash="def"))


def test_a_rejection_creates_and_ends_its_job() -> None:
    harness = JobHarness(a_rejection())
    (event,) = harness.only(JobEvent)
    assert (event.event, event.seq, event.status) == ("failed", 1, "failed")
    assert event.error is not None
    assert (event.error.code, event.error.message) == ("rejected", "request.count: at most 10")
    assert event.error.reasons == a_rejection().reasons
    assert (harness.job.terminal, harness.job.requested, harness.job.wake_at) == (True, 0, None)


def test_a_repeated_rejection_changes_nothing() -> None:
    harness = JobHarness(a_rejection())
    before = harness.job
    assert not harness.receive(a_rejection()).outputs
    assert harness.job is before


def test_a_plan_that_is_older_than_its_deadline_fails_without_a_single_render() -> None:
    harness = JobHarness().at(300).receive(a_plan(images=2))
    assert harness.events() == ["accepted", "image_failed", "image_failed", "failed"]
    assert harness.job.error is not None
    assert harness.job.error.code == "deadline_exceeded"
    assert not harness.commands()


def test_events_of_an_unknown_job_are_ignored() -> None:
    harness = JobHarness(stored())
    assert harness.stored is None
    assert not harness.outputs
