"""A cancel at any point: before, during and after a submission."""

import pytest

from contracts.operations import AttemptSettled
from contracts.renders import RenderFailed
from services.gateways.runtime.engine import Engine
from services.gateways.runtime.provider import (
    Broken,
    CannotBeAsked,
    NoAnswer,
    NotTaken,
    OutcomeUnknown,
    Refused,
)
from services.gateways.runtime.pushes import Pushes
from shared.clock import now
from tests.fakes.ledger import GatewayBench
from tests.fakes.provider import DONE, QUEUED, RUNNING, a_cancel, a_command
from tests.fakes.publisher import received

STOPPED = Broken("cancelled", "interrupted", retryable=False, billed="yes")
GONE = Broken("lost", "nowhere", retryable=True, billed="no")


async def test_what_is_cancelled_before_it_is_sent_is_never_sent(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    attempt.cancel = True
    assert await bench.finish(attempt) == 1
    assert bench.provider.calls == []
    assert (bench.entry(attempt)["state"], bench.entry(attempt)["billed"]) == ("cancelled", "no")
    assert bench.publisher.sent == [], "it cost nothing, so that nobody has to hear of it"


@pytest.mark.parametrize(("news", "end", "billed"), [(QUEUED, GONE, "no"), (RUNNING, STOPPED, "yes")])
async def test_what_the_provider_has_is_stopped_there(
    bench: GatewayBench, news: object, end: Broken, billed: str
) -> None:
    attempt = await bench.take_in()
    bench.provider.news = [news, end]  # type: ignore[list-item]
    await bench.step(attempt)
    await bench.step(attempt)
    attempt.cancel = True
    assert await bench.step(attempt) is None
    assert bench.provider.calls[-2:] == ["cancel", "poll"]
    assert (bench.entry(attempt)["state"], bench.entry(attempt)["billed"]) == ("cancelled", billed)
    assert bench.publisher.said(RenderFailed) == []
    settled = [(each.outcome, each.billed) for each in bench.publisher.said(AttemptSettled)]
    assert settled == ([] if billed == "no" else [("cancelled", billed)])


async def test_a_provider_that_finishes_all_the_same_is_paid_and_its_image_not_delivered(
    bench: GatewayBench,
) -> None:
    attempt = await bench.take_in()
    bench.provider.news = [type(DONE)(DONE.outputs, cost_usd=0.03)]
    await bench.step(attempt)
    attempt.cancel = True
    await bench.finish(attempt)
    entry = bench.entry(attempt)
    assert (entry["state"], entry["billed"], entry["cost_usd"]) == ("cancelled", "yes", 0.03)
    [settled] = bench.publisher.said(AttemptSettled)
    assert (settled.attempt_id, settled.outcome) == (attempt.id, "succeeded")
    assert (settled.billed, settled.cost_usd) == ("yes", 0.03)
    assert len(bench.publisher.sent) == 1, "and nothing else"


async def test_a_cancelled_attempt_is_still_followed_to_its_end(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    await bench.step(attempt)
    attempt.cancel = True
    bench.provider.news = [RUNNING, NoAnswer("502"), RUNNING, STOPPED]
    assert await bench.finish(attempt) == 4
    assert len(bench.publisher.sent) == 1, "no one wants to hear of its progress"
    assert bench.publisher.said(AttemptSettled)


async def test_an_unknown_outcome_is_found_and_then_stopped(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.submissions = [OutcomeUnknown("lost")]
    bench.provider.findings = [{"id": "found"}]
    bench.provider.news = [STOPPED]
    await bench.step(attempt)
    attempt.cancel = True
    await bench.finish(attempt)
    assert bench.provider.calls == ["prepare", "submit", "find", "cancel", "poll"]
    assert bench.provider.submitted == 1


async def test_an_unknown_outcome_that_is_not_wanted_is_not_sent_again(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.submissions = [OutcomeUnknown("lost")]
    await bench.step(attempt)
    attempt.cancel = True
    bench.age(attempt, 3600)
    await bench.finish(attempt)
    assert bench.provider.submitted == 1
    assert bench.entry(attempt)["state"] == "cancelled"


async def test_a_cancelled_attempt_whose_outcome_no_one_can_tell_ends_as_unknown(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.submissions = [OutcomeUnknown("lost")]
    bench.provider.findings = [CannotBeAsked("fal")]
    await bench.step(attempt)
    attempt.cancel = True
    bench.age(attempt, 3600)
    assert await bench.finish(attempt) == 1
    assert (bench.entry(attempt)["state"], bench.entry(attempt)["billed"]) == ("cancelled", "unknown")
    assert bench.publisher.said(RenderFailed) == []


@pytest.mark.parametrize(
    "outcome",
    [NotTaken("provider_busy", "429", after_seconds=30.0), Refused("invalid_request", "422")],
    ids=["not taken", "refused"],
)
async def test_a_cancel_that_meets_an_answer_ends_it_without_a_word(
    bench: GatewayBench, outcome: Exception
) -> None:
    attempt = await bench.take_in(alternatives=True)
    bench.provider.submissions = [outcome]
    bench.provider.before_submit = lambda order: setattr(attempt, "cancel", True)
    assert await bench.step(attempt) is None
    assert (bench.entry(attempt)["state"], bench.entry(attempt)["billed"]) == ("cancelled", "no")
    assert bench.publisher.sent == []


async def test_a_cancel_while_it_is_sent_stops_what_was_taken(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.before_submit = lambda order: setattr(attempt, "cancel", True)
    bench.provider.news = [STOPPED]
    await bench.finish(attempt)
    assert bench.provider.calls == ["prepare", "submit", "cancel", "poll"]
    assert bench.entry(attempt)["state"] == "cancelled"


@pytest.mark.parametrize("news", [NoAnswer("502"), RUNNING], ids=["silent", "runs on"])
async def test_a_cancelled_attempt_that_never_ends_is_given_up_as_cancelled_and_asked_for_later(
    bench: GatewayBench, news: object
) -> None:
    attempt = await bench.take_in(deadline_at=now())
    attempt.state, attempt.handle, attempt.cancel = "submitted", {"id": "external"}, True
    bench.age_deadline(attempt, 61)
    bench.provider.news = [news]  # type: ignore[list-item]
    assert await bench.step(attempt) is None
    entry = bench.entry(attempt)
    assert (entry["state"], entry["billed"], entry["look_at"] > now()) == ("cancelled", "unknown", True)
    assert bench.publisher.said(RenderFailed) == []


async def test_a_cancel_that_overtakes_its_command_makes_it_a_no_op(bench: GatewayBench) -> None:
    command, owner = a_command(), await bench.owner()
    await bench.ledger.take_cancels([a_cancel(command)])
    assert await bench.ledger.take_in([received(command)], owner) == []
    entry = bench.attempts.kept[command.attempt_id]
    assert (entry["state"], entry["billed"], entry["submissions"]) == ("cancelled", "no", 0)


async def test_a_cancel_of_an_open_attempt_is_a_wish_that_its_owner_finds(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    engine = Engine(bench.step, slots=1)
    engine.add([attempt])
    pushes = Pushes(bench.attempts.mongo, "fal", engine)
    await bench.ledger.take_cancels([a_cancel(attempt.command)])
    assert bench.entry(attempt)["owner"] == bench.lease.owner
    assert (bench.entry(attempt)["cancel"], bench.entry(attempt)["look_at"] <= now()) == (True, True)
    await pushes.notice("another process")
    assert not attempt.cancel
    await pushes.notice(bench.lease.owner)
    assert attempt.cancel
    assert attempt.hurried, "a push of something cancelled is heard too"
    assert "look_at" not in bench.entry(attempt)


async def test_a_cancel_after_the_end_changes_nothing(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    await bench.finish(attempt)
    before = dict(bench.entry(attempt))
    await bench.ledger.take_cancels([a_cancel(attempt.command)])
    assert bench.entry(attempt) == before


async def test_a_cancel_that_is_delivered_again_is_boring(bench: GatewayBench) -> None:
    command = a_command()
    for _ in range(3):
        await bench.ledger.take_cancels([a_cancel(command)])
    assert list(bench.attempts.kept) == [command.attempt_id]
    assert "look_at" not in bench.attempts.kept[command.attempt_id], "nobody has to be told"


async def test_while_it_does_not_stop_it_is_asked_again_soon_however_rare_polls_are(
    bench: GatewayBench,
) -> None:
    attempt = await bench.take_in()
    await bench.step(attempt)
    bench.gateway.rarest_poll = 600.0
    bench.provider.news = [RUNNING, RUNNING]
    assert (await bench.step(attempt) or 0.0) > 60
    attempt.cancel = True
    assert (await bench.step(attempt) or 0.0) < 10
