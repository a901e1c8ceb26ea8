"""Late outcomes and reconciliation on a real database: guards, nulls and times."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from pydantic import SecretStr

from contracts.operations import AttemptSettled
from contracts.renders import RenderRequested
from deploy.local.stack import Stack
from services.gateways.kit.provider import Provider, StatusUnavailable, idempotency_key_of
from services.gateways.runtime.ledger.documents import INDEXES
from services.gateways.runtime.ledger.intake import LedgerIntake
from services.gateways.runtime.ledger.takeover import Takeover
from services.gateways.runtime.lifecycle.late_outcome import MAX_CHECKS
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from services.gateways.runtime.recovery.late_outcomes import LateOutcomes
from services.gateways.runtime.recovery.reconciler import Reconciler
from services.gateways.runtime.scheduling.engine import Engine
from shared import mongo
from shared.clock import now
from shared.mongo import Collection, Database
from shared.mongo.leases import Lease
from shared.outbox import MongoOutboxStore, Outbox
from shared.settings import MongoSettings
from tests.fakes.provider import FakeProvider, a_command
from tests.fakes.publisher import FakePublisher, received
from tests.fakes.steps import as_step

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

OWNER = "gateway-fal:someone"


class ListingProvider(FakeProvider):
    """A provider that lists these submissions."""

    def __init__(self, *commands: RenderRequested) -> None:
        super().__init__()
        self.there = frozenset(idempotency_key_of(command.attempt_id) for command in commands)

    async def unfinished(self) -> frozenset[str]:
        return self.there


@pytest_asyncio.fixture(loop_scope="module")
async def database(servers: Stack) -> AsyncIterator[Database]:
    settings = MongoSettings(url=SecretStr(servers.environment["MONGO_URL"]), database="late_ends")
    async with mongo.connect(settings) as connected:
        await connected.drop_collection("attempts")
        await mongo.ensure_indexes(connected["attempts"], *INDEXES)
        yield connected


async def an_end(attempts: Collection, command: RenderRequested, **fields: object) -> None:
    """Return an attempt that failed a minute ago with an unknown cost."""
    await LedgerIntake(attempts).accept([received(command)], OWNER)
    end: dict[str, object] = {"state": "failed", "billed": "unknown", "submission_ref": {"id": "external"}}
    ended = end | {"finished_at": now() - timedelta(minutes=1)}
    change = {"$set": ended | fields, "$unset": {"owner": ""}}
    await attempts.update_one({"_id": command.attempt_id}, change)


async def test_one_of_many_processes_checks_and_publishes_the_outcome_once(database: Database) -> None:
    attempts, command = database["attempts"], a_command()
    await an_end(attempts, command, next_check_at=now())
    provider, publisher = FakeProvider(), FakePublisher("gateway-fal")
    await asyncio.gather(*(LateOutcomes(attempts, provider, "gateway-fal").check_due() for _ in range(8)))
    assert provider.calls == ["poll"]
    assert await Outbox(MongoOutboxStore(attempts), publisher).sweep(timedelta(seconds=-1)) == 1
    assert len(publisher.said(AttemptSettled)) == 1
    entry = await attempts.find_one({"_id": command.attempt_id})
    assert entry is not None
    assert (entry["billed"], entry["final_outcome"], "next_check_at" in entry) == ("yes", "succeeded", False)


async def test_no_check_follows_the_last_one(database: Database) -> None:
    attempts, command, provider = database["attempts"], a_command(), FakeProvider()
    await an_end(attempts, command, next_check_at=now(), checks=MAX_CHECKS)
    provider.statuses = [StatusUnavailable("502")]
    late = LateOutcomes(attempts, provider, "gateway-fal")
    assert [await late.check_due() for _ in range(2)] == [1, 0]


async def test_an_orphan_without_checks_left_is_still_resolved(database: Database) -> None:
    attempts, over, fresh = database["attempts"], a_command(), a_command()
    await an_end(attempts, over, next_check_at=None, billed="no")
    await an_end(attempts, fresh, finished_at=now(), billed="no")
    provider = ListingProvider(over, fresh)
    await reconciling(database, provider).turn()
    late = LateOutcomes(attempts, provider, "gateway-fal")
    assert await late.check_due() == 1, "what has just ended may be on its way out"
    entry = await attempts.find_one({"_id": over.attempt_id})
    assert entry is not None
    assert (entry["billed"], entry["final_outcome"]) == ("yes", "succeeded")


async def test_every_listed_submission_that_is_not_in_memory_is_found(database: Database) -> None:
    attempts = database["attempts"]
    ours = [a_command() for _ in range(3)]
    await LedgerIntake(attempts).accept([received(command) for command in ours], OWNER)
    await an_end(attempts, a_command())
    held = {ours[0].attempt_id}
    stranded = await Takeover(attempts).stranded(OWNER, held)
    assert {attempt.id for attempt in stranded} == {command.attempt_id for command in ours[1:]}


def reconciling(database: Database, provider: Provider) -> Reconciler:
    async def nothing(*_: str) -> None:
        return None

    async def no_step(_: object) -> float | None:
        return None

    lease = Lease(database["leases"], "gateway-fal", on_owner_expired=nothing, on_lost=nothing)
    engine = Engine(as_step(no_step), 0)
    return Reconciler(database["attempts"], provider, engine, lease, NoPacing(), ProviderLimits())


class NoPacing:
    """An executor without polls."""

    def set_min_poll_interval(self, seconds: float) -> None: ...
