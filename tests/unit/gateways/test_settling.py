"""What was sent without a usable answer is settled by asking, before anything is sent again."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from contracts.renders import RenderFailed, RenderSucceeded
from services.gateways.runtime.attempt import Attempt
from services.gateways.runtime.provider import CannotBeAsked, Missing, NoAnswer, NotTaken, OutcomeUnknown
from shared.clock import now
from shared.mongo.leases import LEASE_SECONDS
from tests.fakes.ledger import GatewayBench
from tests.fakes.provider import RUNNING


@pytest.fixture
async def lost(bench: GatewayBench) -> Attempt:
    """It was sent, and no one knows what became of it."""
    attempt = await bench.take_in()
    bench.provider.submissions = [OutcomeUnknown("the answer was lost")]
    await bench.step(attempt)
    return attempt


async def test_what_the_provider_has_is_followed_and_not_sent_again(
    bench: GatewayBench, lost: Attempt
) -> None:
    bench.provider.findings = [{"id": "found"}]
    await bench.finish(lost)
    assert bench.provider.calls == ["prepare", "submit", "find", "poll"]
    assert bench.entry(lost)["external_id"] == "found"
    assert (bench.entry(lost)["state"], bench.entry(lost)["submissions"]) == ("succeeded", 1)


async def test_not_found_is_not_believed_while_the_request_may_still_be_on_its_way(
    bench: GatewayBench, lost: Attempt
) -> None:
    for _ in range(5):
        pause = await bench.step(lost)
        assert pause is not None
        assert 0 < pause <= 2.0
    bench.age(lost, LEASE_SECONDS + 4.0)
    await bench.step(lost)
    assert bench.provider.submitted == 1


async def test_what_is_surely_not_there_is_sent_again_once(bench: GatewayBench, lost: Attempt) -> None:
    bench.age(lost, LEASE_SECONDS + 5.0)
    assert await bench.step(lost) is not None
    assert (bench.entry(lost)["state"], bench.entry(lost)["billed"]) == ("accepted", "no")
    await bench.finish(lost)
    assert bench.provider.submitted == bench.entry(lost)["submissions"] == 2
    assert len(bench.publisher.said(RenderSucceeded)) == 1


async def test_a_submit_that_fails_in_an_unforeseen_way_may_have_been_taken(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.submissions = [RuntimeError("a bug of ours")]
    with pytest.raises(RuntimeError):
        await bench.step(attempt)
    bench.provider.findings = [{"id": "found"}]
    await bench.finish(attempt)
    assert bench.provider.calls == ["prepare", "submit", "find", "poll"]


async def test_a_provider_that_does_not_answer_is_asked_again_and_nothing_is_sent(
    bench: GatewayBench, lost: Attempt
) -> None:
    bench.provider.findings = [NoAnswer("502"), NoAnswer("502"), {"id": "found"}]
    bench.age(lost, 3600)
    await bench.finish(lost)
    assert bench.provider.calls.count("find") == 3
    assert bench.provider.submitted == 1


async def test_where_no_one_can_be_asked_it_fails_after_a_grace_and_may_have_been_billed(
    bench: GatewayBench, lost: Attempt
) -> None:
    bench.provider.findings = [CannotBeAsked("fal"), CannotBeAsked("fal")]
    pause = await bench.step(lost)
    assert pause is not None
    assert 59 < pause <= 60
    bench.age(lost, 60)
    assert await bench.step(lost) is None
    [failure] = bench.publisher.said(RenderFailed)
    assert (failure.code, failure.billed, failure.retryable) == ("outcome_unknown", "unknown", True)
    assert bench.provider.submitted == 1


async def test_whether_an_unknown_outcome_is_paid_for_twice_is_a_setting() -> None:
    bench = GatewayBench(grace=0.0, resubmit_unknown=False)
    attempt = await bench.take_in()
    bench.provider.submissions = [OutcomeUnknown("lost")]
    bench.provider.findings = [CannotBeAsked("fal")]
    await bench.finish(attempt)
    [failure] = bench.publisher.said(RenderFailed)
    assert (failure.code, failure.retryable) == ("outcome_unknown", False)


@pytest.mark.parametrize("state", ["submitting", "unknown"])
async def test_what_a_dead_process_was_sending_is_asked_for_by_its_heir(
    bench: GatewayBench, state: str
) -> None:
    attempt = await bench.take_in()
    fields = {"owner": "dead", "state": state, "submitting_at": now()}
    bench.entry(attempt).update(fields)
    held = [found async for found in bench.ledger.held_by("dead")]
    [taken] = await bench.ledger.take_over(held, "dead", bench.lease.owner)
    bench.provider.findings = [{"id": "found"}]
    await bench.finish(taken)
    assert bench.provider.calls == ["find", "poll"]
    assert bench.entry(attempt)["state"] == "succeeded"


async def test_what_a_dead_process_had_submitted_is_followed_by_its_heir(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    await bench.step(attempt)
    bench.entry(attempt)["owner"] = "dead"
    held = [found async for found in bench.ledger.held_by("dead")]
    [taken] = await bench.ledger.take_over(held, "dead", bench.lease.owner)
    assert taken.handle == attempt.handle
    await bench.finish(taken)
    assert bench.provider.submitted == 1
    assert len(bench.publisher.said(RenderSucceeded)) == 1


async def test_two_heirs_never_get_the_same_attempt(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.entry(attempt)["owner"] = "dead"
    held = [found async for found in bench.ledger.held_by("dead")]
    assert len(await bench.ledger.take_over(held, "dead", "one")) == 1
    assert await bench.ledger.take_over(held, "dead", "two") == []
    assert bench.entry(attempt)["owner"] == "one"


async def taken_over(bench: GatewayBench, dead: str = "dead") -> list[Attempt]:
    """What our process takes over of another one's."""
    held = [found async for found in bench.ledger.held_by(dead)]
    return await bench.ledger.take_over(held, dead, bench.lease.owner)


async def test_an_intent_that_was_written_since_the_heir_looked_is_not_overwritten(
    bench: GatewayBench,
) -> None:
    attempt = await bench.take_in()
    bench.entry(attempt)["owner"] = attempt.owner = "dead"
    held = [found async for found in bench.ledger.held_by("dead")]
    assert await bench.ledger.intend(attempt)
    assert await bench.ledger.take_over(held, "dead", bench.lease.owner) == []
    assert (bench.entry(attempt)["state"], bench.entry(attempt)["owner"]) == ("submitting", "dead")
    [taken] = await taken_over(bench)
    assert taken.state == "unknown", "the next look asks what became of it"


async def test_those_that_were_read_with_one_that_moved_are_taken_over(bench: GatewayBench) -> None:
    moved, still = [await bench.take_in(), await bench.take_in()]
    for attempt in (moved, still):
        bench.entry(attempt)["owner"] = attempt.owner = "dead"
    held = [found async for found in bench.ledger.held_by("dead")]
    assert await bench.ledger.intend(moved)
    [taken] = await bench.ledger.take_over(held, "dead", bench.lease.owner)
    assert taken.id == still.id


async def test_what_was_sent_meanwhile_is_taken_over_all_the_same(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.entry(attempt).update(owner="dead", state="submitting", submitting_at=now())
    attempt.owner = "dead"
    held = [found async for found in bench.ledger.held_by("dead")]
    assert await bench.ledger.move(attempt, "submitted", handle={"id": "external"})
    [taken] = await bench.ledger.take_over(held, "dead", bench.lease.owner)
    await bench.finish(taken)
    assert bench.provider.calls == ["poll"]


async def test_who_was_declared_dead_while_it_submitted_still_leaves_the_handle_to_its_heir(
    bench: GatewayBench,
) -> None:
    attempt = await bench.take_in()
    bench.provider.before_submit = lambda order: bench.entry(attempt).update(owner="heir", state="unknown")
    assert await bench.step(attempt) is None
    entry = bench.entry(attempt)
    assert (entry["owner"], entry["state"]) == ("heir", "unknown")
    assert (entry["external_id"], entry["billed"]) == (f"external-{attempt.id}", "yes")
    entry["owner"] = "dead"
    [taken] = await taken_over(bench)
    bench.provider.calls.clear()
    await bench.finish(taken)
    assert bench.provider.calls == ["poll"], "neither asked for nor sent again"


async def test_the_heir_finds_the_handle_that_came_after_it_took_over(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.entry(attempt).update(owner="dead", state="submitting", submitting_at=now())
    [successor] = await taken_over(bench)
    assert await bench.step(successor) is not None
    await bench.ledger.save_handle_anyway(attempt.id, successor.submitting_at, {"id": "late"})
    bench.age(successor, 3600)  # the provider still says that it has none of it
    await bench.finish(successor)
    assert bench.provider.submitted == 0
    assert (bench.entry(attempt)["state"], bench.entry(attempt)["external_id"]) == ("succeeded", "late")


async def test_a_handle_of_an_earlier_sending_does_not_name_a_later_one(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    earlier = now()
    bench.entry(attempt).update(state="submitting", submitting_at=earlier + timedelta(seconds=30))
    await bench.ledger.save_handle_anyway(attempt.id, earlier, {"id": "of the earlier one"})
    assert "handle" not in bench.entry(attempt)


def lost_for_good(bench: GatewayBench, attempt: Attempt) -> None:
    [failure] = bench.publisher.said(RenderFailed)
    assert (failure.code, failure.retryable, failure.billed) == ("lost", False, "unknown")
    assert (bench.entry(attempt)["state"], bench.entry(attempt)["billed"]) == ("failed", "unknown")


@pytest.mark.parametrize("news", [NoAnswer("502"), RUNNING], ids=["silent", "running for ever"])
async def test_what_the_provider_never_ends_is_given_up_long_after_its_deadline(
    bench: GatewayBench, news: Any
) -> None:
    attempt = await bench.take_in()
    bench.provider.news = [news] * 10
    await bench.step(attempt)
    bench.age_deadline(attempt, 55)
    assert await bench.step(attempt) is not None
    bench.age_deadline(attempt, 61)
    assert await bench.step(attempt) is None
    lost_for_good(bench, attempt)


async def test_what_runs_for_ever_is_stopped_when_it_is_given_up(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.news = [RUNNING]
    await bench.step(attempt)
    bench.age_deadline(attempt, 61)
    await bench.step(attempt)
    assert bench.provider.calls[-1] == "cancel"


async def test_what_ended_long_after_its_deadline_is_still_an_end(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    await bench.step(attempt)
    bench.age_deadline(attempt, 61)
    await bench.finish(attempt)
    assert bench.entry(attempt)["state"] == "succeeded"


async def test_an_unknown_outcome_of_long_ago_is_given_up_without_an_answer(
    bench: GatewayBench, lost: Attempt
) -> None:
    bench.provider.findings = [NoAnswer("502")] * 10
    assert await bench.step(lost) is not None
    bench.age_deadline(lost, 61)
    assert await bench.step(lost) is None
    lost_for_good(bench, lost)
    assert bench.provider.submitted == 1


MISSING = Missing("the provider knows nothing of it")


async def test_one_404_loses_nothing(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.news = [MISSING, MISSING, MISSING, RUNNING, MISSING]
    await bench.step(attempt)
    assert await bench.step(attempt) == 20.0, "looks are spread over the grace"
    attempt.missing_since = now() - timedelta(seconds=60)
    for _ in range(4):
        assert await bench.step(attempt) is not None
    await bench.finish(attempt)
    assert (bench.entry(attempt)["state"], bench.provider.submitted) == ("succeeded", 1)


@pytest.mark.parametrize("resubmit", [True, False])
async def test_what_stays_missing_is_given_up_and_asked_for_later(resubmit: bool) -> None:
    bench = GatewayBench(grace=0.0, resubmit_unknown=resubmit)
    attempt = await bench.take_in()
    bench.provider.news = [MISSING] * 4
    assert await bench.finish(attempt) == 5
    [failure] = bench.publisher.said(RenderFailed)
    assert (failure.code, failure.retryable, failure.billed) == ("lost", resubmit, "unknown")
    assert "look_at" in bench.entry(attempt)


async def test_a_cancelled_attempt_that_is_missing_ends_at_once(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.news = [MISSING]
    await bench.step(attempt)
    attempt.cancel = True
    assert await bench.step(attempt) is None
    assert (bench.entry(attempt)["state"], bench.entry(attempt)["billed"]) == ("cancelled", "unknown")
    assert "look_at" in bench.entry(attempt)


async def test_a_note_that_nothing_was_taken_does_not_undo_what_was_sent_since(
    bench: GatewayBench,
) -> None:
    attempt = await bench.take_in()
    bench.provider.submissions = [NotTaken("provider_busy", "503")]
    await bench.step(attempt)
    before = replace(attempt)
    await bench.step(attempt)
    assert not await bench.ledger.wait_again(before)
    assert not await bench.ledger.wait_again(attempt)
    assert (bench.entry(attempt)["state"], bench.entry(attempt)["billed"]) == ("submitted", "yes")


async def test_what_has_a_handle_was_taken_whatever_else_its_entry_says(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    await bench.step(attempt)
    bench.entry(attempt).update(owner="dead", state="accepted")
    [successor] = await taken_over(bench)
    await bench.finish(successor)
    assert (bench.entry(attempt)["state"], bench.provider.submitted) == ("succeeded", 1)


async def test_a_handle_that_came_since_the_heir_looked_is_not_overlooked(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.entry(attempt)["owner"] = "dead"
    held = [found async for found in bench.ledger.held_by("dead")]
    bench.entry(attempt)["handle"] = {"id": "external"}
    assert await bench.ledger.take_over(held, "dead", bench.lease.owner) == []


async def test_what_is_overdue_is_asked_for_once_more_where_that_can_be_asked(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    attempt.state = "unknown"
    bench.age_deadline(attempt, 3600)
    bench.provider.findings = [{"id": "found"}]
    await bench.finish(attempt)
    assert bench.entry(attempt)["state"] == "succeeded"
