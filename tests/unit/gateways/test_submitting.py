"""What is written, sent and said when an attempt is submitted."""

import asyncio
from datetime import timedelta

import pytest
from pymongo.errors import AutoReconnect

from contracts.renders import RenderFailed, RenderProgressed, RenderSucceeded
from services.gateways.runtime.gateway import MOST_ERRORS
from services.gateways.runtime.pauses import backoff
from services.gateways.runtime.provider import NotTaken, OutcomeUnknown, Refused
from shared.clock import now
from shared.mongo.leases import LeaseExpired
from tests.fakes.ledger import GatewayBench
from tests.fakes.provider import DONE, OUTPUT, QUEUED, RUNNING, a_command


async def test_a_submission_is_in_the_books_with_the_providers_id(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    await bench.step(attempt)
    entry = bench.entry(attempt)
    assert (entry["state"], entry["billed"]) == ("submitted", "yes")
    assert entry["external_id"] == entry["handle"]["id"] == f"external-{attempt.id}"


async def test_who_can_be_asked_for_it_has_it_entered_while_it_works(bench: GatewayBench) -> None:
    bench.provider.can_be_asked = True
    bench.provider.news = [RUNNING]
    attempt = await bench.take_in()
    await bench.step(attempt)
    assert (bench.entry(attempt)["state"], bench.entry(attempt)["billed"]) == ("submitting", "unknown")
    await bench.step(attempt)
    entry = bench.entry(attempt)
    assert (entry["state"], entry["billed"]) == ("submitted", "yes")
    assert entry["external_id"] == entry["handle"]["id"] == f"external-{attempt.id}"


async def test_or_with_its_end_if_that_comes_first(bench: GatewayBench) -> None:
    bench.provider.can_be_asked = True
    attempt = await bench.take_in()
    bench.attempts.bulk_writes = 0
    await bench.finish(attempt)
    entry = bench.entry(attempt)
    assert (entry["state"], entry["external_id"]) == ("succeeded", f"external-{attempt.id}")
    assert bench.attempts.bulk_writes == 1, "of the end; the intent goes with others'"


async def test_who_finds_it_to_be_anothers_while_it_works_leaves_what_it_is_called(
    bench: GatewayBench,
) -> None:
    bench.provider.can_be_asked = True
    bench.provider.news = [RUNNING]
    attempt = await bench.take_in()
    await bench.step(attempt)
    bench.entry(attempt)["owner"] = "gateway-fal:another"
    assert await bench.step(attempt) is None
    assert bench.publisher.sent == []
    assert bench.entry(attempt)["external_id"] == f"external-{attempt.id}"


async def test_a_good_attempt_says_progress_and_then_where_its_output_is(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.news = [QUEUED, RUNNING, RUNNING]
    await bench.finish(attempt)
    told = bench.publisher.said(RenderProgressed)
    assert [(news.state, news.percent, news.queue_position) for news in told] == [
        ("queued", None, 3),
        ("running", 40, None),
    ]
    [success] = bench.publisher.said(RenderSucceeded)
    assert (success.attempt_id, success.outputs, success.seed) == (attempt.id, (OUTPUT,), 7)
    assert (bench.entry(attempt)["state"], bench.entry(attempt)["billed"]) == ("succeeded", "yes")
    assert bench.provider.submitted == 1


async def test_a_refused_order_fails_unbilled_and_is_not_repeated(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.submissions = [Refused("invalid_request", "422 no such model")]
    assert await bench.finish(attempt) == 1
    [failure] = bench.publisher.said(RenderFailed)
    assert (failure.code, failure.retryable, failure.billed) == ("invalid_request", False, "no")
    assert bench.entry(attempt)["error"] == "invalid_request: 422 no such model"
    assert bench.provider.submitted == 1


async def test_an_order_that_cannot_be_expressed_costs_nothing(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.preparations = [Refused("input_not_found", "there is no stored image")]
    assert await bench.finish(attempt) == 1
    assert bench.entry(attempt)["submissions"] == bench.provider.submitted == 0
    assert bench.entry(attempt)["billed"] == "no"


async def test_a_busy_provider_is_tried_again_in_the_same_attempt(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.submissions = [NotTaken("provider_busy", "429")]
    pause = await bench.step(attempt)
    assert pause is not None
    assert 0.0 <= pause <= 1.0
    assert (bench.entry(attempt)["state"], bench.entry(attempt)["billed"]) == ("accepted", "no")
    await bench.finish(attempt)
    assert bench.entry(attempt)["state"] == "succeeded"
    assert bench.provider.submitted == 2


async def test_a_provider_that_names_a_time_is_left_alone_until_then(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.submissions = [NotTaken("provider_busy", "429", after_seconds=17.0)]
    pause = await bench.step(attempt)
    assert pause is not None
    assert 17.0 < pause <= 18.0, "and not all at the same moment"


def test_a_backoff_is_any_time_up_to_one_that_doubles() -> None:
    for tries, longest in [(1, 1.0), (3, 4.0), (10, 30.0)]:
        pauses = [backoff(tries) for _ in range(400)]
        assert min(pauses) < longest * 0.1
        assert longest * 0.9 < max(pauses) <= longest


@pytest.mark.parametrize(("pause", "ends"), [(4.9, False), (5.1, True), (3600.0, True)])
async def test_a_provider_that_wants_a_long_pause_is_left_where_another_can_do_it(
    bench: GatewayBench, pause: float, ends: bool
) -> None:
    attempt = await bench.take_in(alternatives=True)
    bench.provider.submissions = [NotTaken("provider_busy", "429", after_seconds=pause)]
    assert (await bench.step(attempt) is None) == ends
    failures = bench.publisher.said(RenderFailed)
    assert [(failure.code, failure.retryable, failure.billed) for failure in failures] == (
        [("provider_busy", True, "no")] if ends else []
    )


async def test_the_only_provider_is_waited_for_but_not_beyond_the_deadline(bench: GatewayBench) -> None:
    attempt = await bench.take_in(deadline_at=now() + timedelta(seconds=20))
    bench.provider.submissions = [NotTaken("provider_busy", "429", after_seconds=3600.0)]
    pause = await bench.step(attempt)
    assert pause is not None
    assert 19 < pause <= 20.1


async def test_a_provider_that_stays_busy_fails_the_attempt_unbilled(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.submissions = [NotTaken("provider_busy", "503") for _ in range(10)]
    assert await bench.finish(attempt) == 3
    [failure] = bench.publisher.said(RenderFailed)
    assert (failure.code, failure.retryable, failure.billed) == ("provider_busy", True, "no")
    assert bench.entry(attempt)["submissions"] == 3


async def test_what_is_past_its_deadline_is_not_sent(bench: GatewayBench) -> None:
    attempt = await bench.take_in(deadline_at=now() - timedelta(seconds=1))
    assert await bench.finish(attempt) == 1
    [failure] = bench.publisher.said(RenderFailed)
    assert (failure.code, failure.billed) == ("deadline_exceeded", "no")
    assert bench.provider.calls == []


async def test_nothing_is_sent_once_the_lease_is_over(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    await bench.lease.release()
    with pytest.raises(LeaseExpired):
        await bench.step(attempt)
    assert bench.provider.submitted == 0
    await bench.lease.take()
    bench.entry(attempt)["owner"] = attempt.owner = bench.lease.owner
    await bench.finish(attempt)
    assert bench.provider.submitted == 1


async def test_an_attempt_that_is_anothers_now_is_dropped_silently(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.entry(attempt)["owner"] = "gateway-fal:another"
    assert await bench.step(attempt) is None
    assert bench.provider.submitted == 0
    assert bench.publisher.sent == []


async def test_who_lost_the_attempt_while_it_was_sent_leaves_it_to_the_heir(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.before_submit = lambda order: bench.entry(attempt).update(owner="gateway-fal:another")
    assert await bench.step(attempt) is None
    assert bench.entry(attempt)["state"] == "submitting", "the heir asks what became of it"


async def test_an_intent_that_could_not_be_written_is_written_later_and_sent_once(
    bench: GatewayBench,
) -> None:
    attempt = await bench.take_in()
    bench.attempts.failures = [AutoReconnect("the database is away")]
    with pytest.raises(AutoReconnect):
        await bench.step(attempt)
    await bench.finish(attempt)
    assert bench.provider.submitted == 1
    assert "find" not in bench.provider.calls, "nothing was sent, so there is nothing to find out"
    assert bench.entry(attempt)["state"] == "succeeded"


async def test_a_flagged_image_fails_billed_unless_it_was_allowed(bench: GatewayBench) -> None:
    flagged = OUTPUT.model_copy(update={"nsfw": True})
    attempt = await bench.take_in()
    bench.provider.news = [type(DONE)((flagged,))]
    await bench.finish(attempt)
    [failure] = bench.publisher.said(RenderFailed)
    assert (failure.code, failure.retryable, failure.billed) == ("nsfw", False, "yes")
    spec = attempt.command.spec.model_copy(update={"nsfw_allowed": True})
    allowed = await bench.take_in(a_command(spec=spec))
    bench.provider.news = [type(DONE)((flagged,))]
    await bench.finish(allowed)
    assert bench.publisher.said(RenderSucceeded)


async def test_the_seed_that_was_asked_for_stands_in_for_one_that_is_not_told(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.news = [type(DONE)((OUTPUT,))]
    await bench.finish(attempt)
    [success] = bench.publisher.said(RenderSucceeded)
    assert success.seed == attempt.command.spec.seed == 11


async def test_an_unknown_outcome_is_written_down_as_such(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.submissions = [OutcomeUnknown("the answer was lost")]
    assert await bench.step(attempt) == 0.5
    assert (bench.entry(attempt)["state"], bench.entry(attempt)["billed"]) == ("unknown", "unknown")


async def test_what_nobody_foresaw_is_not_repeated_for_ever(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.preparations = [KeyError("a bug of ours") for _ in range(10)]
    for _ in range(MOST_ERRORS - 1):
        with pytest.raises(KeyError):
            await bench.step(attempt)
    assert await bench.step(attempt) is None
    [failure] = bench.publisher.said(RenderFailed)
    assert (failure.code, failure.retryable, failure.billed) == ("internal_error", True, "no")
    assert (bench.entry(attempt)["submissions"], bench.provider.submitted) == (0, 0)


async def test_a_database_that_is_away_is_waited_for(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.preparations = [AutoReconnect("away") for _ in range(2 * MOST_ERRORS)]
    for _ in range(2 * MOST_ERRORS):
        with pytest.raises(AutoReconnect):
            await bench.step(attempt)
    await bench.finish(attempt)
    assert bench.entry(attempt)["state"] == "succeeded"


async def test_intents_of_one_moment_are_one_statement_and_none_is_anothers(bench: GatewayBench) -> None:
    mine, theirs, also_mine = [await bench.take_in() for _ in range(3)]
    bench.entry(theirs)["owner"] = "gateway-fal:another"
    steps = await asyncio.gather(*(bench.step(each) for each in (mine, theirs, also_mine)))
    assert [step is None for step in steps] == [False, True, False]
    assert bench.provider.submitted == 2
    assert [bench.entry(each)["submissions"] for each in (mine, theirs, also_mine)] == [1, 0, 1]
    assert mine.submitting_at == also_mine.submitting_at == bench.entry(mine)["submitting_at"]
