"""A gateway whose provider, broker and database are fakes."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from contracts.renders import RenderRequested
from services.gateways.runtime.executor import Executor
from services.gateways.runtime.ledger.intake import LedgerIntake
from services.gateways.runtime.ledger.takeover import Takeover
from services.gateways.runtime.ledger.writes import Ledger
from services.gateways.runtime.lifecycle.attempt import Attempt, State
from services.gateways.runtime.lifecycle.decisions import Wait
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from services.gateways.runtime.scheduling.submission_gate import SubmissionGate
from shared.clock import now
from shared.mongo.leases import Lease
from shared.outbox import MongoOutboxStore, Outbox
from tests.fakes.mongo import FakeCollection
from tests.fakes.provider import FakeLookupProvider, FakeProvider, a_command
from tests.fakes.publisher import FakePublisher, received

ENOUGH = 40


class GatewayHarness:
    """Gives attempts to an executor and takes their steps by hand."""

    def __init__(self, **limits: Any) -> None:
        self.attempts = FakeCollection()
        self.publisher = FakePublisher("gateway-fal")
        self.gate = SubmissionGate()
        self.intake = LedgerIntake(self.attempts.mongo)
        self.ledger = Ledger(self.attempts.mongo)
        self.takeover = Takeover(self.attempts.mongo)
        self.outbox = Outbox(MongoOutboxStore(self.attempts.mongo), self.publisher)
        self.leases = FakeCollection()
        self.lease = Lease(
            self.leases.mongo, "gateway-fal", on_owner_expired=self._expired, on_lost=self._lost
        )
        self.limits = ProviderLimits(**limits)
        self.provider = FakeLookupProvider()
        self.executor = self.executor_for(self.provider)

    def executor_for(self, provider: FakeProvider) -> Executor:
        return Executor(provider, self.ledger, self.lease, self.publisher, self.limits, self.gate)

    def without_lookup(self) -> None:
        """Replace the provider by one that cannot be asked for a submission; it continues the call log."""
        provider = FakeProvider()
        provider.calls = self.provider.calls
        provider.submissions, provider.statuses = self.provider.submissions, self.provider.statuses
        self.executor = self.executor_for(provider)

    async def accept(
        self, command: RenderRequested | None = None, *, with_intent: bool = False, **fields: Any
    ) -> Attempt:
        """Return a new attempt of this process."""
        batch = [received(command or a_command(**fields))]
        [attempt] = await self.intake.accept(batch, await self.owner(), with_intent=with_intent)
        return attempt

    async def owner(self) -> str:
        if not self.lease.owner:
            await self.lease.take()
        return self.lease.owner

    async def step(self, attempt: Attempt) -> float | None:
        """Take one step; return the longest possible pause before the next, None if there is none."""
        result = await self.executor.step(attempt)
        return result.latest if isinstance(result, Wait) else None

    async def finish(self, attempt: Attempt) -> int:
        """Take steps until the end, without pauses; return their number."""
        for steps in range(1, ENOUGH):
            if await self.step(attempt) is None:
                return steps
        raise AssertionError(f"no end after {ENOUGH} steps: {self.provider.calls}")

    def entry(self, attempt: Attempt) -> dict[str, Any]:
        """Return the document of an attempt."""
        return self.attempts.kept[attempt.id]

    def age(self, attempt: Attempt, seconds: float) -> None:
        """Act as if it had been sent that much earlier."""
        assert attempt.submitting_at is not None
        attempt.submitting_at -= timedelta(seconds=seconds)
        self.entry(attempt)["submitting_at"] = attempt.submitting_at

    @staticmethod
    def age_deadline(attempt: Attempt, seconds: float) -> None:
        """Act as if its deadline had passed that many seconds ago."""
        at = now() - timedelta(seconds=seconds)
        attempt.command = attempt.command.model_copy(update={"deadline_at": at})

    async def _expired(self, owner: str) -> None:
        raise AssertionError(f"{owner} was marked as expired")

    async def _lost(self) -> None:
        raise AssertionError("the lease was lost")


def set_state(attempt: Attempt, state: State, **facts: Any) -> Attempt:
    """Put an attempt into a state and return it."""
    attempt.facts = replace(attempt.facts, state=state, **facts)
    return attempt
