"""Intent before money: its lifetime, and its withdrawal when nothing is sent."""

from datetime import timedelta

from services.gateways.kit.provider import AttemptRequest, NotAccepted
from services.gateways.runtime.lifecycle.submitting import INTENT_MAX_AGE
from shared.clock import now
from tests.fakes.ledger import GatewayHarness


async def test_the_intent_is_in_the_ledger_before_the_provider_is_called(harness: GatewayHarness) -> None:
    written = []

    def look(request: AttemptRequest) -> None:
        entry = harness.attempts.kept[request.attempt_id]
        written.append((entry["state"], entry["submissions"], entry["billed"]))

    harness.provider.before_submit = look
    await harness.step(await harness.accept())
    assert written == [("submitting", 1, "unknown")]


async def test_an_attempt_that_is_sent_at_once_is_stored_with_its_intent(harness: GatewayHarness) -> None:
    harness.provider.recoverable = True
    attempt = await harness.accept(with_intent=True)
    entry = harness.entry(attempt)
    assert (entry["state"], entry["submissions"], entry["billed"]) == ("submitting", 1, "unknown")
    harness.attempts.bulk_writes = 0
    await harness.step(attempt)
    assert (harness.provider.submitted, harness.attempts.bulk_writes, entry["submissions"]) == (1, 0, 1)


async def test_an_old_intent_is_written_again(harness: GatewayHarness) -> None:
    attempt = await harness.accept(with_intent=True)
    attempt.submitting_at = before = now() - INTENT_MAX_AGE
    await harness.step(attempt)
    entry = harness.entry(attempt)
    assert (harness.provider.submitted, entry["submissions"]) == (1, 2)
    assert entry["submitting_at"] > before, "an heir waits from then on"


async def test_an_intent_is_good_for_one_sending(harness: GatewayHarness) -> None:
    harness.provider.submissions = [NotAccepted("provider_busy", "429")]
    attempt = await harness.accept(with_intent=True)
    await harness.step(attempt)
    assert harness.entry(attempt)["state"] == "accepted"
    seen = []
    harness.provider.before_submit = lambda request: seen.append(
        harness.attempts.kept[request.attempt_id]["state"]
    )
    await harness.step(attempt)
    assert (seen, harness.entry(attempt)["submissions"]) == (["submitting"], 2)


async def test_an_intent_is_withdrawn_when_inputs_cannot_be_uploaded(harness: GatewayHarness) -> None:
    harness.provider.preparations = [NotAccepted("provider_unreachable", "connection refused")]
    attempt = await harness.accept(with_intent=True)
    await harness.step(attempt)
    assert (harness.entry(attempt)["state"], harness.entry(attempt)["submissions"]) == ("accepted", 0)
    await harness.step(attempt)
    assert (harness.entry(attempt)["submissions"], harness.provider.submitted) == (1, 1)


async def test_an_attempt_that_ends_before_it_is_sent_counts_no_submission(harness: GatewayHarness) -> None:
    attempt = await harness.accept(with_intent=True, deadline_at=now() - timedelta(seconds=1))
    await harness.step(attempt)
    entry = harness.entry(attempt)
    assert (entry["state"], entry["submissions"], entry["billed"]) == ("failed", 0, "no")
