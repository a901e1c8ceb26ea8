"""A gateway whose provider, broker and database are fakes."""

from datetime import timedelta
from typing import Any

from contracts.renders import RenderRequested
from services.gateways.kit.provider import ProviderLimits
from services.gateways.runtime.gateway import Gateway
from services.gateways.runtime.ledger.ledger import Ledger
from services.gateways.runtime.lifecycle.attempt import Attempt
from shared.clock import now
from shared.mongo.leases import Lease
from shared.outbox import MongoOutboxStore, Outbox
from tests.fakes.mongo import FakeCollection
from tests.fakes.provider import FakeProvider, a_command
from tests.fakes.publisher import FakePublisher, received

ENOUGH = 40


class GatewayHarness:
    """Gives attempts to a gateway and steps them by hand."""

    def __init__(self, **limits: Any) -> None:
        self.attempts = FakeCollection()
        self.publisher = FakePublisher("gateway-fal")
        self.provider = FakeProvider()
        self.ledger = Ledger(self.attempts.mongo)
        self.outbox = Outbox(MongoOutboxStore(self.attempts.mongo), self.publisher)
        self.leases = FakeCollection()
        self.lease = Lease(self.leases.mongo, "gateway-fal", on_owner_expired=self._died, on_lost=self._lost)
        self.gateway = Gateway(
            self.provider, self.ledger, self.lease, self.publisher, ProviderLimits(**limits)
        )

    async def accept(
        self, command: RenderRequested | None = None, *, at_once: bool = False, **fields: Any
    ) -> Attempt:
        """A new attempt of ours."""
        batch = [received(command or a_command(**fields))]
        [attempt] = await self.ledger.accept(batch, await self.owner(), at_once=at_once)
        return attempt

    async def owner(self) -> str:
        if not self.lease.owner:
            await self.lease.take()
        return self.lease.owner

    async def step(self, attempt: Attempt) -> float | None:
        return await self.gateway.step(attempt)

    async def finish(self, attempt: Attempt) -> int:
        """Step until the end, not waiting in between; returns how many steps it took."""
        for steps in range(1, ENOUGH):
            if await self.step(attempt) is None:
                return steps
        raise AssertionError(f"no end after {ENOUGH} steps: {self.provider.calls}")

    def entry(self, attempt: Attempt) -> dict[str, Any]:
        """What the ledger says of it."""
        return self.attempts.kept[attempt.id]

    def age(self, attempt: Attempt, seconds: float) -> None:
        """As if it had been sent that much earlier."""
        assert attempt.submitting_at is not None
        attempt.submitting_at -= timedelta(seconds=seconds)
        self.entry(attempt)["submitting_at"] = attempt.submitting_at

    @staticmethod
    def age_deadline(attempt: Attempt, seconds: float) -> None:
        """As if its deadline had passed so long ago."""
        at = now() - timedelta(seconds=seconds)
        attempt.command = attempt.command.model_copy(update={"deadline_at": at})

    async def _died(self, owner: str) -> None:
        raise AssertionError(f"{owner} was declared dead")

    async def _lost(self) -> None:
        raise AssertionError("the lease was lost")
