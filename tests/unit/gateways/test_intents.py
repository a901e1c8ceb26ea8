"""Intent before money: how long one holds, and what becomes of it when nothing is sent."""

from datetime import timedelta

from services.gateways.runtime.gateway import INTENT_HOLDS
from services.gateways.runtime.provider import NotTaken, Order
from shared.clock import now
from tests.fakes.ledger import GatewayBench


async def test_the_intent_is_in_the_ledger_before_the_provider_is_called(bench: GatewayBench) -> None:
    written = []

    def look(order: Order) -> None:
        entry = bench.attempts.kept[order.attempt_id]
        written.append((entry["state"], entry["submissions"], entry["billed"]))

    bench.provider.before_submit = look
    await bench.step(await bench.take_in())
    assert written == [("submitting", 1, "unknown")]


async def test_what_is_sent_at_once_was_entered_with_its_intent(bench: GatewayBench) -> None:
    bench.provider.can_be_asked = True
    attempt = await bench.take_in(at_once=True)
    entry = bench.entry(attempt)
    assert (entry["state"], entry["submissions"], entry["billed"]) == ("submitting", 1, "unknown")
    bench.attempts.bulk_writes = 0
    await bench.step(attempt)
    assert (bench.provider.submitted, bench.attempts.bulk_writes, entry["submissions"]) == (1, 0, 1)


async def test_an_intent_that_waited_is_written_anew(bench: GatewayBench) -> None:
    attempt = await bench.take_in(at_once=True)
    attempt.submitting_at = before = now() - INTENT_HOLDS
    await bench.step(attempt)
    entry = bench.entry(attempt)
    assert (bench.provider.submitted, entry["submissions"]) == (1, 2)
    assert entry["submitting_at"] > before, "an heir waits from then on"


async def test_an_intent_is_good_for_one_sending(bench: GatewayBench) -> None:
    bench.provider.submissions = [NotTaken("provider_busy", "429")]
    attempt = await bench.take_in(at_once=True)
    await bench.step(attempt)
    assert bench.entry(attempt)["state"] == "accepted"
    seen = []
    bench.provider.before_submit = lambda order: seen.append(bench.attempts.kept[order.attempt_id]["state"])
    await bench.step(attempt)
    assert (seen, bench.entry(attempt)["submissions"]) == (["submitting"], 2)


async def test_nor_does_one_hold_whose_inputs_could_not_be_uploaded(bench: GatewayBench) -> None:
    bench.provider.preparations = [NotTaken("provider_unreachable", "connection refused")]
    attempt = await bench.take_in(at_once=True)
    await bench.step(attempt)
    assert (bench.entry(attempt)["state"], bench.entry(attempt)["submissions"]) == ("accepted", 0)
    await bench.step(attempt)
    assert (bench.entry(attempt)["submissions"], bench.provider.submitted) == (1, 1)


async def test_what_ends_before_it_is_sent_counts_no_submission(bench: GatewayBench) -> None:
    attempt = await bench.take_in(at_once=True, deadline_at=now() - timedelta(seconds=1))
    await bench.step(attempt)
    entry = bench.entry(attempt)
    assert (entry["state"], entry["submissions"], entry["billed"]) == ("failed", 0, "no")
