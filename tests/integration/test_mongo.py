"""Behaviour of a real server: guards, races, group commits, and an index for every poll."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr
from pymongo import IndexModel, InsertOne, UpdateOne

from deploy.local.stack import Stack
from services.api.store import COMMAND_INDEXES, PENDING, SUBMISSION_INDEXES
from services.characters.__main__ import INDEXES as CHARACTER_INDEXES
from services.dispatcher.__main__ import INDEXES as JOB_INDEXES
from services.dispatcher.wakeups import WAITING, find_waiting_jobs
from services.gateways.runtime.ledger.documents import INDEXES as ATTEMPT_INDEXES
from services.notifier.store import DELIVERY_INDEXES
from services.result_store.assets import INDEXES as ASSET_INDEXES
from shared import mongo
from shared.clock import now
from shared.errors import UnstorableDocument
from shared.fold import Folded
from shared.mongo import Database, due_by, write_guarded
from shared.mongo.documents import MongoDocuments
from shared.mongo.group_commit import guarded_writes
from shared.mongo.leases import Lease
from shared.settings import MongoSettings

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module")
async def database(servers: Stack) -> AsyncIterator[Database]:
    settings = MongoSettings(url=SecretStr(servers.environment["MONGO_URL"]), database="tests")
    async with mongo.connect(settings) as connected:
        for name in await connected.list_collection_names():
            await connected.drop_collection(name)
        yield connected


def guarded(key: str, owner: str) -> UpdateOne:
    return UpdateOne({"_id": key, "owner": owner}, {"$set": {"seen": True}}, upsert=True)


async def test_a_guarded_bulk_write_reports_exactly_the_writes_that_lost(database: Database) -> None:
    items = database["items"]
    await items.insert_many([{"_id": str(n), "owner": "me" if n % 3 else "other"} for n in range(30)])
    lost = await write_guarded(items, [guarded(str(n), "me") for n in range(30)])
    assert lost == set(range(0, 30, 3))
    assert await items.count_documents({"seen": True}) == 20
    assert await items.count_documents({}) == 30


async def test_grouped_writes_return_each_caller_its_own_outcome(database: Database) -> None:
    items = database["items"]
    await items.insert_many([{"_id": str(n), "owner": "me" if n % 2 else "other"} for n in range(200)])
    group = guarded_writes(items)
    won = await asyncio.gather(*(group.write(guarded(str(n), "me")) for n in range(200)))
    assert won == [bool(n % 2) for n in range(200)]


class Counter(Folded):
    count: int = 0


async def test_one_of_two_writers_of_a_version_learns_that_it_lost(database: Database) -> None:
    counters = MongoDocuments(database["counters"], Counter)
    assert await counters.save({"a": Counter(version=1, count=1)}) == set()
    saves = [counters.save({"a": Counter(version=2, count=n)}) for n in range(8)]
    outcomes = await asyncio.gather(*saves)
    assert sorted(len(lost) for lost in outcomes) == [0, *[1] * 7]
    winner = outcomes.index(set())
    assert (await counters.load(["a"]))["a"].count == winner


POLLS: list[tuple[str, tuple[IndexModel, ...], Mapping[str, Any]]] = [
    ("jobs", JOB_INDEXES, {"wake_at": due_by(now())}),
    ("jobs", JOB_INDEXES, {"character_id": {"$in": ["a", "b"]}} | WAITING),
    ("jobs", JOB_INDEXES, {"tenant": "t", "user_id": "u", "updated_at": {"$gte": now()}}),
    ("jobs", JOB_INDEXES, {"tenant": "t", "requested_at": {"$lte": now()}}),
    ("attempts", ATTEMPT_INDEXES, {"owner": "me"}),
    ("attempts", ATTEMPT_INDEXES, {"outbox.at": due_by(now())}),
    ("attempts", ATTEMPT_INDEXES, {"next_check_at": due_by(now())}),
    ("attempts", ATTEMPT_INDEXES, {"idempotency_key": {"$in": ["a", "b"]}}),
    ("assets", ASSET_INDEXES, {"wake_at": due_by(now())}),
    ("submissions", SUBMISSION_INDEXES, {"outbox.at": due_by(now())}),
    ("submissions", SUBMISSION_INDEXES, {"tenant": "t"} | PENDING),
    ("characters", CHARACTER_INDEXES, {"tenant": "t", "created_at": {"$lte": now()}}),
    ("commands", COMMAND_INDEXES, {"outbox.at": due_by(now())}),
    ("deliveries", DELIVERY_INDEXES, {"due_at": due_by(now())}),
]


@pytest.mark.parametrize(("name", "indexes", "query"), POLLS, ids=lambda value: str(value)[:40])
async def test_every_repeated_query_reads_an_index(
    database: Database, name: str, indexes: tuple[IndexModel, ...], query: Mapping[str, Any]
) -> None:
    await mongo.ensure_indexes(database[name], *indexes)
    await database[name].insert_many([{"_id": str(n), "wake_at": None} for n in range(50)])
    plan = await database[name].find(query).explain()
    stages = []
    stage = plan["queryPlanner"]["winningPlan"]
    while stage:
        stages.append(stage["stage"])
        stage = stage.get("inputStage")
    assert "IXSCAN" in stages, stages


async def test_a_job_that_no_longer_waits_is_not_woken_again(database: Database) -> None:
    jobs = database["jobs"]
    await mongo.ensure_indexes(jobs, *JOB_INDEXES)
    waiting = {"tenant": "acme", "character_id": "mia"} | WAITING
    await jobs.insert_many([{"_id": f"waits {n}", **waiting} for n in range(3)])
    await jobs.replace_one({"_id": "waits 1"}, waiting | {"phase": "queued"})
    await jobs.replace_one({"_id": "waits 2"}, waiting | {"phase": None})
    found = await find_waiting_jobs(jobs, {"mia", "nobody"})
    assert [job["_id"] for job in found["acme", "mia"]] == ["waits 0"]
    await jobs.replace_one({"_id": "waits 1"}, waiting)
    found = await find_waiting_jobs(jobs, {"mia"})
    assert {job["_id"] for job in found["acme", "mia"]} == {"waits 0", "waits 1"}


async def test_attempts_of_a_dead_process_are_taken_over_once(database: Database) -> None:
    leases = database["leases"]
    heirs: list[str] = []

    def lease(name: str) -> Lease:
        async def died(owner: str) -> None:
            heirs.append(f"{name} buries {owner}")

        async def lost() -> None:
            heirs.append(f"{name} was buried")

        return Lease(leases, "gateway-test", on_owner_expired=died, on_lost=lost, patience_seconds=0.0)

    dead, successor = lease("dead"), lease("heir")
    await dead.take()
    await successor.take()
    before = dead.owner
    await successor.reap_expired()
    assert heirs == []
    await leases.update_one({"_id": before}, {"$set": {"until": now() - timedelta(seconds=1)}})
    await successor.reap_expired()
    await dead.renew()
    assert heirs == [f"heir buries {before}", "dead was buried"]
    assert dead.owner != before


async def test_integers_beyond_64_bits_are_read_back_exactly(database: Database) -> None:
    numbers = [2**63 - 1, 2**63, 2**64 - 1, -(2**63) - 1, 10**34 - 1]
    writes = [InsertOne({"_id": f"{place}", "free": {"n": [n]}}) for place, n in enumerate(numbers)]
    assert await write_guarded(database["items"], writes) == set()
    found = await database["items"].find({}).sort("_id", 1).to_list(None)
    assert [document["free"]["n"] for document in found] == [[n] for n in numbers]


async def test_a_document_beyond_the_servers_limit_is_a_permanent_failure(database: Database) -> None:
    with pytest.raises(UnstorableDocument):
        await write_guarded(database["items"], [InsertOne({"_id": "a", "text": "x" * 17 * 1024 * 1024})])
