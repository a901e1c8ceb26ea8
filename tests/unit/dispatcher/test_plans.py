"""A job begins with its plan, or ends with its rejection."""

import pytest

from contracts.generation import GenerationConflicted
from contracts.jobs import JobEvent
from contracts.renders import RenderRequested
from services.dispatcher.domain import JobIdConflict
from tests.fakes.builders import CHAIN, JOB, START, a_plan, a_rejection, after, stored
from tests.unit.dispatcher.life import Life


def test_a_plan_is_accepted_and_each_of_its_renders_commanded() -> None:
    life = Life(a_plan(images=3))
    assert life.events() == ["accepted"]
    assert life.commands() == [f"{JOB}/0/1", f"{JOB}/1/1", f"{JOB}/2/1"]
    assert (life.job.status, life.job.phase, life.job.requested) == ("pending", "queued", 3)
    assert [render.state for render in life.job.renders] == ["queued"] * 3


def test_a_command_carries_all_that_a_gateway_needs() -> None:
    plan = a_plan(model="sdxl", workflow={"3": {"class_type": "KSampler"}})
    (command,) = Life(plan).only(RenderRequested)
    assert command.render_id == f"{JOB}/0"
    assert command.spec == plan.renders[0]
    assert (command.tenant, command.model, command.workflow) == ("acme", "sdxl", plan.workflow)
    assert (command.provider, command.priority, command.deadline_at) == ("modal", 1, after(300))


def test_the_deadline_counts_from_the_request_not_from_the_plan() -> None:
    life = Life().at(20).hear(a_plan())
    assert life.job.deadline_at == after(300)
    assert life.job.wake_at == after(300)
    assert (life.job.requested_at, life.job.accepted_at) == (START, after(20))


def test_events_say_whose_job_it_is_and_how_far() -> None:
    plan = a_plan(images=2, chain_id=CHAIN, notify={"webhook_url": "https://example.com/hook"})
    event = Life().at(1.5).hear(plan).event("accepted")
    assert (event.tenant, event.user_id, event.type, event.chain_id) == ("acme", "ann", "studio", CHAIN)
    assert (event.seq, event.requested, event.delivered, event.failed) == (1, 2, 0, 0)
    assert (event.elapsed_seconds, event.target_seconds, event.webhook) == (1.5, 15, True)


def test_a_plan_said_again_changes_nothing() -> None:
    life = Life(a_plan(), stored())
    before = life.job
    life.hear(a_plan())
    assert life.job is before
    assert not life.said


@pytest.mark.parametrize("other", [{"tenant": "other"}, {"request_hash": "def"}])
@pytest.mark.parametrize("again", [a_plan, a_rejection])
def test_another_request_under_a_known_job_id_is_a_conflict(other: dict[str, str], again: type) -> None:
    life = Life(a_plan())
    before = life.job
    with pytest.raises(JobIdConflict, match="use a new job_id") as conflict:
        life.hear(again(**other))
    assert conflict.value.reason == "job_id_conflict"
    assert life.job is before


@pytest.mark.parametrize("again", [a_plan, a_rejection])
def test_a_chain_that_waits_for_a_job_which_is_not_its_own_is_told_so(again: type) -> None:
    life = Life(a_plan())
    before = life.job
    others: tuple[dict[str, str], ...] = ({"request_hash": "def"}, {"tenant": "other"}, {})
    for fields in others:
        life.hear(again(chain_id=CHAIN, **fields))
        (told,) = life.only(GenerationConflicted)
        assert (told.job_id, told.chain_id, told.tenant) == (JOB, CHAIN, fields.get("tenant", "acme"))
        assert "use a new job_id" in told.reason
        assert life.job is before
    life = Life(a_plan(chain_id=CHAIN))
    assert not life.hear(again(chain_id=CHAIN)).said
    with pytest.raises(JobIdConflict):
        life.hear(again(chain_id=CHAIN, request_hash="def"))


def test_a_rejection_is_the_whole_life_of_its_job() -> None:
    life = Life(a_rejection())
    (event,) = life.only(JobEvent)
    assert (event.event, event.seq, event.status) == ("failed", 1, "failed")
    assert event.error is not None
    assert (event.error.code, event.error.message) == ("rejected", "request.count: at most 10")
    assert event.error.reasons == a_rejection().reasons
    assert (life.job.terminal, life.job.requested, life.job.wake_at) == (True, 0, None)


def test_a_rejection_said_again_changes_nothing() -> None:
    life = Life(a_rejection())
    before = life.job
    assert not life.hear(a_rejection()).said
    assert life.job is before


def test_a_plan_that_is_older_than_its_deadline_fails_without_a_single_render() -> None:
    life = Life().at(300).hear(a_plan(images=2))
    assert life.events() == ["accepted", "image_failed", "image_failed", "failed"]
    assert life.job.error is not None
    assert life.job.error.code == "deadline_exceeded"
    assert not life.commands()


def test_news_of_a_job_that_nobody_knows_are_ignored() -> None:
    life = Life(stored())
    assert life.stored is None
    assert not life.said
