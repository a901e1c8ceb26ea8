"""What was sent without a usable answer is settled by asking, before anything is sent again."""

import pytest

from contracts.renders import RenderFailed, RenderSucceeded
from services.gateways.runtime.attempt import Attempt
from services.gateways.runtime.provider import CannotBeAsked, NoAnswer, OutcomeUnknown
from shared.clock import now
from shared.leases import LEASE_SECONDS
from tests.fakes.ledger import GatewayBench


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
