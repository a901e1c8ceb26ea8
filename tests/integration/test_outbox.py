"""Behaviour of real servers: unique keys, guards, claims, and the start of a reader without a group."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from contracts.http import StudioSubmission
from contracts.jobs import JobEvent
from contracts.renders import RenderFailed, RenderSucceeded
from deploy.local.stack import Stack, StackOptions
from services.api.domain import Accepted, Caller, accept
from services.api.ports import JobQuery
from services.api.store import SUBMISSION_INDEXES, MongoSubmissions
from services.notifier.deliveries import Outcome, after_attempt, delivery_of
from services.notifier.store import DELIVERY_INDEXES, MongoDeliveries
from services.notifier.store import MongoSubmissions as Listened
from services.result_store.assets import Asset, MongoAssets, asset_id
from services.result_store.fetching import OutputUnavailable
from services.result_store.image_store import failure
from shared.clock import now
from shared.envelope import Outgoing
from shared.ids import uuid7
from shared.kafka.broadcast import Broadcast
from shared.kafka.publisher import Publisher
from shared.kafka.topics import ensure_topics
from shared.mongo import Database, connect, ensure_indexes
from shared.outbox import MongoOutboxStore, Outbox, OutboxEntry, outbox_entry
from shared.settings import MongoSettings
from tests.fakes.jobs import an_event
from tests.fakes.outbox import FakeBroker
from tests.fakes.results import a_result
from tests.integration.workers import kafka_settings

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    state, proxied = tmp_path_factory.mktemp("stack"), ("kafka", "mongo")
    options = StackOptions(state=state, simulators=(), services=(), proxied=proxied)
    async with Stack(options) as stack:
        yield stack


def direct(stack: Stack) -> SecretStr:
    """Return the address of MongoDB without the proxy."""
    return SecretStr(f"mongodb://{stack.addresses['mongo']}/?journal=true&directConnection=true")


@pytest_asyncio.fixture(loop_scope="module")
async def database(stack: Stack) -> AsyncIterator[Database]:
    async with connect(MongoSettings(url=direct(stack), database=f"t{uuid7()[-8:]}")) as database:
        await ensure_indexes(database["submissions"], *SUBMISSION_INDEXES)
        await ensure_indexes(database["deliveries"], *DELIVERY_INDEXES)
        yield database


def a_submission(key: str | None = None, tenant: str = "acme") -> tuple[Accepted, dict[str, object]]:
    request = StudioSubmission.model_validate({"character": {"name": "Mia", "age": 27}})
    caller = Caller(tenant=tenant, user_id="ann")
    accepted, message = accept(request, caller, key=key, job_id=uuid7(), now=now())
    return accepted, outbox_entry(message, source="api", trace=None, at=now())


async def test_one_of_many_submissions_with_one_key_is_stored(database: Database) -> None:
    submissions = MongoSubmissions(database["submissions"])
    many = [a_submission(key="k") for _ in range(30)]
    kept = await asyncio.gather(*(submissions.add(*each) for each in many))
    assert kept.count(True) == 1
    [first] = await submissions.known(many[5][0])
    assert first == many[kept.index(True)][0]


async def test_keys_are_unique_per_tenant_and_may_be_left_out(database: Database) -> None:
    submissions = MongoSubmissions(database["submissions"])
    each = [a_submission(), a_submission(), a_submission(key="k"), a_submission(key="k", tenant="other")]
    assert all([await submissions.add(*one) for one in each])
    assert not await submissions.add(*each[0]), "a job id is taken once"
    page = await submissions.unplanned(JobQuery(tenant="acme", limit=2))
    newest = sorted(
        (one for one, _ in each[:3]), key=lambda one: (one.requested_at, one.job_id), reverse=True
    )
    assert page == newest[:2]
    before = (page[-1].requested_at, page[-1].job_id)
    assert await submissions.unplanned(JobQuery(tenant="acme", limit=2, before=before)) == newest[2:]
    await submissions.mark_planned([page[0].job_id])
    assert await submissions.unplanned(JobQuery(tenant="acme", limit=5)) == newest[1:]


async def test_only_a_submission_for_a_job_has_events(database: Database) -> None:
    submissions, listened = MongoSubmissions(database["submissions"]), Listened(database["submissions"])
    accepted, outbox = a_submission()
    creation = accepted.model_copy(update={"job_id": uuid7(), "type": None})
    for each in (accepted, creation):
        await submissions.add(each, outbox)
    assert await listened.tenant_of(accepted.job_id) == "acme"
    assert await listened.tenant_of(creation.job_id) is None


async def test_entries_are_swept_once_oldest_first(database: Database) -> None:
    submissions, broker = MongoSubmissions(database["submissions"]), FakeBroker()
    outbox = Outbox(MongoOutboxStore(database["submissions"]), broker)
    each = [a_submission() for _ in range(5)]
    for accepted, entry in each:
        await submissions.add(accepted, entry)
        await asyncio.sleep(0.002)
    assert await outbox.sweep() == 0, "they are too young"
    assert await outbox.sweep(timedelta(seconds=-1)) == 5
    assert [envelope.key for envelope in broker.sent] == [accepted.job_id for accepted, _ in each]
    assert await outbox.sweep(timedelta(seconds=-1)) == 0


async def test_an_entry_that_was_replaced_is_not_removed(database: Database) -> None:
    submissions = MongoSubmissions(database["submissions"])
    accepted, outbox = a_submission()
    await submissions.add(accepted, outbox)
    store = MongoOutboxStore(database["submissions"])
    [pending] = await store.pending([accepted.job_id])
    later = outbox | {"at": now() + timedelta(seconds=1)}
    await database["submissions"].update_one({"_id": accepted.job_id}, {"$set": {"outbox": later}})
    await store.remove([pending])
    assert len(await store.pending([accepted.job_id])) == 1


async def test_an_entry_that_grew_within_a_millisecond_stays_until_it_is_published_completely(
    database: Database,
) -> None:
    assets, store = MongoAssets(database["assets"]), MongoOutboxStore(database["assets"])
    first = a_result(1)
    second, at = a_result(2, job_id=first.job_id), now()

    def a_failed(result: RenderSucceeded) -> Asset:
        message = failure(result, OutputUnavailable("404"))
        entry = OutboxEntry.model_validate(outbox_entry(message, source="test", trace=None, at=at))
        return Asset(id=asset_id(first), state="failed", result=result, outbox=entry)

    await assets.save([a_failed(first)])
    [published] = await store.pending([asset_id(first)])
    await assets.save([a_failed(second)])
    await store.remove([published])
    [pending] = await store.pending([asset_id(first)])
    assert [RenderFailed.model_validate_json(each.body).attempt_id for each in pending.entry.messages] == [
        first.attempt_id,
        second.attempt_id,
    ]
    await store.remove([pending])
    assert "outbox" not in (await database["assets"].find_one({}) or {})


async def test_a_delivery_is_stored_once_and_claimed_once(database: Database) -> None:
    deliveries = MongoDeliveries(database["deliveries"])
    job_id = uuid7()
    one, two = (
        delivery_of(an_event("started", seq, job_id=job_id), "https://shop.example", now()) for seq in (1, 2)
    )
    await deliveries.add([two, one])
    await deliveries.add([one])
    due = await deliveries.due(now(), 10)
    assert {delivery.id for delivery in due} == {one.id, two.id}
    head = (await deliveries.heads([job_id]))[job_id]
    assert head.id == one.id
    lease = now() + timedelta(seconds=30)
    claims = await asyncio.gather(*(deliveries.claim(head, lease) for _ in range(10)))
    [claimed] = [claim for claim in claims if claim]
    assert claimed.body == one.body
    await deliveries.save(after_attempt(claimed, Outcome(status=200), now()))
    assert (await deliveries.heads([job_id]))[job_id].id == two.id


async def test_a_reader_without_a_group_starts_at_the_end_and_misses_nothing_later(stack: Stack) -> None:
    settings = kafka_settings(stack)
    await ensure_topics(settings)
    seen: list[int] = []
    positioned = asyncio.Event()
    feed = Broadcast(
        settings,
        [JobEvent],
        on_messages=lambda batch: seen.extend(received.message.seq for received in batch),
        on_positioned=positioned.set,
    )
    async with Publisher("test", settings) as publisher:
        before = [an_event("started", seq, job_id=uuid7()) for seq in range(1, 201)]
        await publisher.publish(Outgoing(event) for event in before)
        task = asyncio.create_task(feed.run())
        await asyncio.wait_for(positioned.wait(), 20)
        assert await feed.problem() is None
        after_it = [an_event("started", seq, job_id=uuid7()) for seq in range(1001, 1101)]
        await publisher.publish(Outgoing(event) for event in after_it)
        while len(seen) < 100:
            await asyncio.sleep(0.02)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert sorted(seen) == list(range(1001, 1101))


async def test_an_api_that_starts_without_the_broker_accepts_requests_and_publishes_later(
    stack: Stack,
) -> None:
    stack.proxies["kafka"].close()
    try:
        await stack.start_service("api")
        caller = {"X-Tenant-Id": "acme", "X-User-Id": "ann"}
        async with httpx.AsyncClient(base_url=stack.api_url, headers=caller) as http:
            answer = await http.post("/v1/studio", json={"character": {"name": "Mia", "age": 27}})
            assert answer.status_code == 202
            assert list((await http.get("/health/ready")).json()["problems"]) == ["kafka"]
            stack.proxies["kafka"].open()
            async with connect(MongoSettings(url=direct(stack))) as database:
                async with asyncio.timeout(30):
                    while await database["submissions"].count_documents({"outbox": {"$exists": True}}):
                        await asyncio.sleep(0.1)
            assert (await http.get("/health/ready")).json()["problems"] == {}
    finally:
        stack.proxies["kafka"].open()


async def test_processes_end_within_ten_seconds_while_broker_and_database_are_down(stack: Stack) -> None:
    names = ["gateways.fal", "notifier", "dispatcher"]
    await asyncio.gather(*map(stack.start_service, names))
    mongo = stack.processes["mongo"].pid
    assert mongo is not None
    stack.proxies["kafka"].close()
    os.kill(mongo, signal.SIGSTOP)
    try:
        await asyncio.sleep(3)
        started = time.monotonic()
        await asyncio.gather(*map(stack.stop_service, names))
        assert time.monotonic() - started < 9.6, "killed by who waited for them"
    finally:
        os.kill(mongo, signal.SIGCONT)
        stack.proxies["kafka"].open()
