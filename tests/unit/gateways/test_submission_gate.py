"""Admission of submissions: circuit, rate, and announcements."""

import pytest

from contracts.operations import ProviderHealth
from contracts.renders import RenderFailed
from services.gateways.kit.provider import NotAccepted, OutcomeUnknown, Rejected
from services.gateways.runtime.executor import Executor
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from services.gateways.runtime.scheduling.breaker import Breaker, Circuit
from services.gateways.runtime.scheduling.circuit_announcements import CircuitAnnouncements
from services.gateways.runtime.scheduling.rate import Rate
from services.gateways.runtime.scheduling.submission_gate import SubmissionGate
from tests.fakes.ledger import GatewayHarness
from tests.fakes.mongo import FakeCollection
from tests.fakes.provider import RUNNING
from tests.fakes.publisher import BrokerAway, FakePublisher


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


class GateHarness:
    """A gate that opens after two failures; `announced` has its announcements."""

    def __init__(self, per_second: float | None = None) -> None:
        self.clock = Clock()
        self.announced: list[tuple[Circuit, str]] = []
        self.failures_to_raise: list[Exception] = []
        self.gate = SubmissionGate(
            Breaker(failures_to_open=2, pause=5.0), Rate(per_second), self._announce, self.clock
        )

    async def _announce(self, state: Circuit, reason: str) -> None:
        if self.failures_to_raise:
            raise self.failures_to_raise.pop(0)
        self.announced.append((state, reason))

    async def open_circuit(self) -> None:
        for _ in range(2):
            await self.gate.failed("503")
        assert self.gate.is_open


@pytest.mark.parametrize("per_second", [0.2, 1.0, 5.0, 64.0])
def test_no_more_than_a_seconds_worth_goes_at_once_and_then_at_the_rate(per_second: float) -> None:
    rate, clock, sent = Rate(per_second), 1000.0, []
    while clock < 1020.0:
        if pause := rate.wait(clock):
            clock += pause
        else:
            rate.begin(clock)
            sent.append(clock)
    burst = sum(time < 1000.001 for time in sent)
    assert burst == max(1, per_second)
    assert len(sent) <= 20 * per_second + burst
    assert len(sent) >= 20 * per_second - 1, "the limit is used"


def test_without_a_rate_nothing_waits() -> None:
    rate = Rate(None)
    for _ in range(1000):
        rate.begin(5.0)
    assert rate.wait(5.0) == 0.0


def test_a_quiet_hour_does_not_save_up_more_than_a_second() -> None:
    rate, sent = Rate(4.0), 0
    rate.begin(0.0)
    while rate.wait(3600.0) == 0.0:
        rate.begin(3600.0)
        sent += 1
    assert sent == 4


async def test_the_longer_of_both_waits_counts() -> None:
    harness = GateHarness(per_second=0.1)
    await harness.gate.begin()
    assert harness.gate.wait() == 10.0
    await harness.open_circuit()
    assert harness.gate.wait() == 10.0
    harness.clock.time += 6
    assert harness.gate.wait() == 4.0


async def test_an_open_circuit_delays_no_attempt_and_a_probe_delays_all() -> None:
    harness = GateHarness()
    await harness.open_circuit()
    assert (harness.gate.wait(), harness.gate.admission_delay()) == (5.0, 0.0)
    harness.clock.time += 5
    assert harness.gate.wait() == 0.0
    await harness.gate.begin()
    assert harness.gate.admission_delay() == 1.0


async def test_each_change_of_the_circuit_is_announced_once() -> None:
    harness = GateHarness()
    await harness.open_circuit()
    await harness.gate.failed("503 again")
    harness.clock.time += 5
    assert harness.gate.wait() == 0.0
    await harness.gate.begin()
    await harness.gate.answered()
    await harness.gate.answered()
    assert harness.announced == [("open", "503"), ("half_open", "503 again"), ("closed", "")]


async def test_a_failed_announcement_stops_no_submission_and_is_repeated_with_the_next() -> None:
    harness = GateHarness()
    harness.failures_to_raise = [BrokerAway("away"), BrokerAway("away")]
    await harness.open_circuit()
    await harness.gate.failed("503")
    assert harness.announced == []
    await harness.gate.failed("503")
    assert harness.announced == [("open", "503")]


async def test_an_announcement_is_a_document_and_an_event() -> None:
    health, publisher = FakeCollection(), FakePublisher()
    tell = CircuitAnnouncements("fal", "one", health.mongo, publisher)
    await CircuitAnnouncements("fal", "two", health.mongo, publisher)("closed", "")
    publisher.sent.clear()
    await tell("open", "x" * 1000)
    [event] = publisher.said(ProviderHealth)
    assert (event.provider, event.instance, event.state, len(event.reason)) == ("fal", "one", "open", 300)
    assert (health.kept["fal/one"]["state"], health.kept["fal/one"]["at"]) == ("open", event.at)
    await tell("closed", "")
    assert (len(health.kept), health.kept["fal/one"]["state"]) == (2, "closed")


class Guarded(GatewayHarness):
    """A gateway whose circuit opens after two failures."""

    def __init__(self) -> None:
        super().__init__()
        self.guard = GateHarness()
        self.executor = Executor(
            self.provider, self.ledger, self.lease, self.publisher, ProviderLimits(), self.guard.gate
        )


async def test_an_open_circuit_sends_nothing_and_an_attempt_without_an_alternative_waits() -> None:
    harness = Guarded()
    await harness.guard.open_circuit()
    attempt = await harness.accept()
    assert await harness.step(attempt) == 5.0
    assert harness.provider.calls == []
    harness.guard.clock.time += 5
    await harness.finish(attempt)
    assert harness.entry(attempt)["state"] == "succeeded"
    assert not harness.guard.gate.is_open


async def test_an_open_circuit_ends_an_attempt_with_an_alternative_at_once() -> None:
    harness = Guarded()
    await harness.guard.open_circuit()
    attempt = await harness.accept(alternatives=True)
    assert await harness.step(attempt) is None
    [failure] = harness.publisher.said(RenderFailed)
    assert (failure.code, failure.retryable, failure.billed) == ("provider_unreachable", True, "no")
    assert harness.provider.calls == []


@pytest.mark.parametrize(
    ("trouble", "shuts"),
    [
        (NotAccepted("provider_unreachable", "no connection"), True),
        (OutcomeUnknown("500"), True),
        (Rejected("provider_unauthorized", "401"), True),
        (Rejected("provider_not_deployed", "404"), True),
        (Rejected("invalid_request", "422"), False),
    ],
)
async def test_failures_of_the_provider_open_the_circuit_and_a_rejection_does_not(
    trouble: Exception, shuts: bool
) -> None:
    harness = Guarded()
    harness.provider.submissions = [trouble, trouble]
    for _ in range(2):
        await harness.step(await harness.accept())
    assert harness.guard.gate.is_open == shuts


async def test_a_ref_is_saved_although_the_announcement_fails() -> None:
    harness = Guarded()
    await harness.guard.open_circuit()
    harness.guard.clock.time += 5
    attempt = await harness.accept()
    harness.guard.failures_to_raise = [BrokerAway("away"), BrokerAway("away")]
    await harness.step(attempt)
    assert harness.entry(attempt)["state"] == "submitted"


async def test_a_probe_that_is_not_sent_for_an_unforeseen_reason_leaves_the_next_one_free() -> None:
    harness = Guarded()
    await harness.guard.open_circuit()
    harness.guard.clock.time += 5
    attempt = await harness.accept()
    harness.provider.preparations = [KeyError("a bug of ours")]
    with pytest.raises(KeyError):
        await harness.step(attempt)
    assert harness.guard.gate.wait() == 0.0


async def test_a_probe_that_ends_in_an_unforeseen_way_leaves_the_next_one_free() -> None:
    harness = Guarded()
    await harness.guard.open_circuit()
    harness.guard.clock.time += 5
    attempt = await harness.accept()
    harness.provider.submissions = [KeyError("an answer that no one expected")]
    with pytest.raises(KeyError):
        await harness.step(attempt)
    assert harness.guard.gate.wait() == 0.0


async def test_a_poll_does_not_end_the_pause_of_an_open_circuit() -> None:
    harness = Guarded()
    attempt = await harness.accept()
    await harness.step(attempt)
    await harness.guard.open_circuit()
    harness.guard.clock.time += 5
    harness.provider.statuses = [RUNNING]
    await harness.step(attempt)
    assert harness.guard.gate.is_open, "the next submission is the probe"
