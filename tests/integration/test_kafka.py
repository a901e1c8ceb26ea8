"""The subscription on a real broker: commits, redelivery, shared partitions."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from contracts.catalog import TOPICS
from contracts.generation import GenerationCancel
from contracts.operations import DeadLetter
from deploy.local.stack import Stack
from tests.integration.workers import Worker, kafka_settings, say

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


async def test_a_restarted_process_continues_at_its_committed_offset(servers: Stack) -> None:
    async with Worker(servers, "resume").running() as first:
        await say(servers, (f"a{n}" for n in range(20)))
        before = sorted(mark for mark in await first.saw(20) if mark.startswith("a"))
    async with Worker(servers, "resume").running() as second:
        await say(servers, ["last"])
        assert await second.saw(1) == ["last"]
    assert before == sorted(f"a{n}" for n in range(20))


async def test_a_transient_failure_is_retried_and_nothing_is_lost(servers: Stack) -> None:
    worker = Worker(servers, "transient")
    worker.failures = [TimeoutError("away"), TimeoutError("away")]
    async with worker.running():
        marks = {f"b{n}" for n in range(10)}
        await say(servers, sorted(marks))
        async with asyncio.timeout(20):
            while not marks <= set(worker.seen):
                await asyncio.sleep(0.02)


async def test_a_poisoned_record_becomes_a_dead_letter_and_the_others_are_handled(servers: Stack) -> None:
    bootstrap = servers.environment["KAFKA_BOOTSTRAP"]
    async with Worker(servers, "poison").running() as worker:
        await say(servers, ["before"])
        await say(servers, ["poison"], raw=b"\x00 no json")
        await say(servers, ["after"])
        async with asyncio.timeout(20):
            while "after" not in worker.seen:
                await asyncio.sleep(0.02)
    consumer = AIOKafkaConsumer(DeadLetter.topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        record = await asyncio.wait_for(consumer.getone(), 10)
    finally:
        await consumer.stop()
    letter = DeadLetter.model_validate_json(record.value)
    assert (letter.reason, letter.original_topic) == ("not_json", GenerationCancel.topic)


async def test_two_processes_of_a_group_share_the_messages(servers: Stack) -> None:
    async with Worker(servers, "share").running() as one, Worker(servers, "share").running() as two:
        marks = [f"c{n}" for n in range(60)]
        await asyncio.sleep(4)  # both have joined the group
        await say(servers, marks)
        async with asyncio.timeout(20):
            while len({mark for mark in one.seen + two.seen if mark.startswith("c")}) < 60:
                await asyncio.sleep(0.05)
        ones, twos = ({mark for mark in each.seen if mark in marks} for each in (one, two))
        assert ones
        assert twos
        assert ones.isdisjoint(twos)


async def test_records_that_arrive_during_a_batch_are_the_next_batch(servers: Stack) -> None:
    async with Worker(servers, "batches").running() as worker:
        await say(servers, ["first"])
        await worker.saw(1)
        worker.takes_seconds = 1.5
        await say(servers, ["begin"])
        async with asyncio.timeout(20):
            while worker.batches[-1] != ["begin"]:
                await asyncio.sleep(0.02)
        marks = {f"e{n}" for n in range(30)}
        await say(servers, sorted(marks))
        assert "begin" not in worker.seen, "it is still being handled"
        async with asyncio.timeout(20):
            while not marks <= set(worker.seen):
                await asyncio.sleep(0.02)
    assert set(worker.batches[-1]) == marks


async def test_a_full_handler_pauses_its_partition_while_others_continue(servers: Stack) -> None:
    async with Worker(servers, "room").running() as worker:
        await say(servers, ["ready"])
        async with asyncio.timeout(20):
            while "ready" not in worker.seen:
                await asyncio.sleep(0.02)
        worker.has_room = False
        await say(servers, ["full"])
        others = [f"f{n}" for n in range(20)]
        for mark in others:
            await say(servers, [mark])
            await asyncio.sleep(0.03)
        tried = sum("full" in batch for batch in worker.batches)
        assert tried <= 4, "it is not tried again whenever something else comes"
        worker.has_room = True
        async with asyncio.timeout(20):
            while not {"full", *others} <= set(worker.seen):
                await asyncio.sleep(0.02)


async def test_a_process_works_although_one_broker_address_does_not_answer(servers: Stack) -> None:
    nobody = "127.0.0.1:9"
    async with Worker(
        servers, "addresses", bootstrap=f"{nobody},{servers.environment['KAFKA_BOOTSTRAP']}"
    ).running() as worker:
        await say(servers, ["hello"])
        async with asyncio.timeout(20):
            while "hello" not in worker.seen:
                await asyncio.sleep(0.02)


async def test_every_topic_of_the_contracts_is_declared_with_its_partitions(servers: Stack) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.environment["KAFKA_BOOTSTRAP"])
    await admin.start()
    try:
        described = await admin.describe_topics([topic.name for topic in TOPICS])
    finally:
        await admin.close()
    assert {topic["topic"]: len(topic["partitions"]) for topic in described} == {
        topic.name: kafka_settings(servers).partitions for topic in TOPICS
    }
