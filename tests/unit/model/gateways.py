"""The gateway of one provider: its ledger, its processes, living and declared dead, their attempts."""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

from pymongo.errors import AutoReconnect

from contracts.base import Provider as ProviderName
from contracts.renders import RenderCancel, RenderRequested
from services.gateways.kit.provider import Lookup
from services.gateways.runtime.executor import Executor
from services.gateways.runtime.ledger.intake import LedgerIntake
from services.gateways.runtime.ledger.takeover import Takeover
from services.gateways.runtime.ledger.writes import Ledger
from services.gateways.runtime.lifecycle.attempt import ENDED, Attempt
from services.gateways.runtime.lifecycle.decisions import Release, Wait
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from services.gateways.runtime.recovery.late_outcomes import LateOutcomes
from services.gateways.runtime.recovery.webhook_intake import WebhookIntake
from services.gateways.runtime.scheduling.engine import Engine
from services.gateways.runtime.scheduling.submission_gate import SubmissionGate
from shared.mongo.leases import Lease
from shared.outbox import MongoOutboxStore, Outbox
from tests.fakes.mongo import FakeCollection
from tests.fakes.publisher import BrokerAway, FakePublisher, received
from tests.unit.model.providers import Fault, Interrupted, Mood, a_provider, ref_of
from tests.unit.model.reference import ReferenceSubmissions

TIMES = ("submitting_at", "next_check_at")


class Process:
    """As much of one as moves attempts: what its engine would call, the machine calls."""

    def __init__(self, of: "ModelGateway") -> None:
        self.ledger = Ledger(of.attempts.mongo)
        self.intake = LedgerIntake(of.attempts.mongo)
        self.takeover = Takeover(of.attempts.mongo)
        self.lease = Lease(
            of.leases.mongo, f"gateway-{of.provider.name}", on_owner_expired=_expired, on_lost=_lost
        )
        self.executor = Executor(of.provider, self.ledger, self.lease, of.publisher, of.limits, of.gate)
        self.held: dict[str, Attempt] = {}
        self.pushes = WebhookIntake(of.attempts.mongo, of.provider.name, ModelEngine(self))

    def hold(self, attempts: list[Attempt]) -> None:
        for attempt in attempts:
            self.held.setdefault(attempt.id, attempt)

    def cancel(self, attempt_ids: Iterable[str]) -> None:
        for attempt_id in attempt_ids:
            if attempt_id in self.held:
                self.held[attempt_id].cancel = True


class ModelEngine(Engine):
    """A process's attempts, for those who have news of them."""

    def __init__(self, process: Process) -> None:
        super().__init__(_never, 0)
        self._process = process

    def __contains__(self, attempt_id: object) -> bool:
        return attempt_id in self._process.held

    def cancel(self, attempt_ids: Iterable[str]) -> None:
        self._process.cancel(attempt_ids)

    def poll_now(self, attempt_id: str) -> bool:
        return attempt_id in self


class ModelGateway:
    """The newest process is the living one; others were declared dead and may not know it yet."""

    def __init__(
        self,
        name: ProviderName,
        clock: Callable[[], float],
        sent: ReferenceSubmissions,
        limits: ProviderLimits,
    ) -> None:
        self.attempts, self.leases = FakeCollection(), FakeCollection()
        self.provider = a_provider(name, clock, sent)
        self.publisher = FakePublisher(f"gateway-{name}")
        self.limits, self.gate = limits, SubmissionGate(clock=clock)
        self.processes: list[Process] = []
        self._sent = sent
        self._outbox = Outbox(MongoOutboxStore(self.attempts.mongo), self.publisher)
        self._late_ends = LateOutcomes(self.attempts.mongo, self.provider, self.publisher.source)

    @property
    def living(self) -> Process:
        return self.processes[-1]

    @property
    def entries(self) -> dict[str, Any]:
        """The documents of the ledger."""
        return self.attempts.kept

    @property
    def open(self) -> bool:
        """True if an attempt is open or a message unpublished."""
        return any(entry["state"] not in ENDED or "outbox" in entry for entry in self.entries.values())

    def steps(self) -> Iterator[tuple[Process, Attempt]]:
        """Yield the attempts that may take their next step."""
        for process in self.processes:
            for attempt in process.held.values():
                yield process, attempt

    async def take_over(self, *, alive: bool = False) -> None:
        """A new process declares the last one dead, which is so unless it is `alive` after all."""
        dead = self.processes[-1] if self.processes else None
        successor = Process(self)
        await successor.lease.take()
        self.processes.append(successor)
        if dead is None:
            return
        await dead.lease.release()
        held = [attempt async for attempt in successor.takeover.held_by(dead.lease.owner)]
        successor.hold(await successor.takeover.take_over(held, dead.lease.owner, successor.lease.owner))
        if not alive:
            self.processes.remove(dead)

    async def accept(self, command: RenderRequested, *, dies: bool) -> None:
        """Enter a command; a process that dies then does not begin with it."""
        new = await self.living.intake.accept(
            [received(command)], self.living.lease.owner, with_intent=isinstance(self.provider, Lookup)
        )
        if not dies:
            self.living.hold(new)

    async def call_off(self, cancel: RenderCancel, *, dies: bool) -> None:
        await self.living.intake.accept_cancels([cancel])
        if not dies:
            self.living.cancel([cancel.attempt_id])
            self._sent.called_off.add(cancel.attempt_id)

    async def step(
        self, process: Process, attempt: Attempt, mood: Mood = "well", fault: Fault | None = None
    ) -> None:
        """One step as the engine takes it: an error is no end.

        Raises:
            Interrupted: where `fault` says so, if the step gets there.
        """
        if process is self.living:
            await process.lease.renew()
        self.provider.mood, self.provider.fault = mood, fault
        self.publisher.away = fault == "say"
        self.attempts.failures = [AutoReconnect("away")] if fault == "write" else []
        try:
            result = await process.executor.step(attempt)
        except (AutoReconnect, BrokerAway) as error:
            raise Interrupted(fault) from error
        finally:
            self.publisher.away, self.attempts.failures = False, []
            self.provider.mood, self.provider.fault = "well", None
        if result == Release() or not process.lease.valid:  # it learns now that its lease expired
            del process.held[attempt.id]

    async def push(self, attempt_id: str) -> None:
        """The provider says by itself that it has this."""
        pushes = self.living.pushes
        pushed = await pushes.find(attempt_id)
        if pushed is not None:
            await pushes.adopt(pushed, ref_of(attempt_id))

    async def tidy(self) -> None:
        """Do the periodic work of a process."""
        await self.living.ledger.remove_published()
        await self.living.pushes.collect(self.living.lease.owner)
        await self._outbox.sweep(timedelta(0))
        await self._late_ends.check_due()

    def grow_older(self, seconds: float) -> None:
        """Let seconds pass: the real clock stands still, so all times move back."""
        span = timedelta(seconds=seconds)
        for entry in self.entries.values():
            entry |= {name: entry[name] - span for name in TIMES if entry.get(name)}
            if "command" in entry:
                entry["command"]["deadline_at"] -= span
        for _, attempt in self.steps():
            if attempt.submitting_at:
                attempt.submitting_at -= span
            at = attempt.command.deadline_at - span
            attempt.command = attempt.command.model_copy(update={"deadline_at": at})


async def _never(_: object) -> Wait | Release:
    raise AssertionError("the machine does this itself")


async def _lost() -> None:
    raise AssertionError("nobody buries who renews")


async def _expired(_: str) -> None:
    raise AssertionError("the machine does this itself")
