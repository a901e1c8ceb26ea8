"""Worker process of the floor: `python -m bench.contestants.floor_worker`."""

import asyncio
import os
import signal
from collections.abc import Mapping

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from bench import samples
from bench.contestants.children import signal_ready
from bench.contestants.floor_stages import STAGES, Clients, Stage, body_of, topic_of, work_of

MAX_RECORDS = 500
JOIN_SECONDS = 15.0


async def follow(
    stage: Stage, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, clients: Clients
) -> None:
    """For each batch: handle it, publish its outputs, wait for the acknowledgements, commit."""
    prefix = clients.environment["BENCH_PREFIX"]
    while True:
        records = await consumer.getmany(timeout_ms=1000, max_records=MAX_RECORDS)
        batch = [work_of(record.value) for several in records.values() for record in several]
        if not batch:
            continue
        sent = []
        for outgoing in await stage.act(clients, batch):
            job_id = outgoing.work.job_id
            headers = samples.headers(outgoing.name, job_id)
            sent.append(
                await producer.send(
                    f"{prefix}.{topic_of(outgoing)}", body_of(outgoing), key=job_id.encode(), headers=headers
                )
            )
        await asyncio.gather(*sent)
        await consumer.commit({partition: several[-1].offset + 1 for partition, several in records.items()})


async def joined(stage: Stage, environment: Mapping[str, str]) -> AIOKafkaConsumer:
    """Return a consumer that has partitions."""
    consumer = consumer_of(stage, environment)
    await consumer.start()
    async with asyncio.timeout(JOIN_SECONDS):
        while not consumer.assignment():
            await asyncio.sleep(0.05)
    return consumer


def consumer_of(stage: Stage, environment: Mapping[str, str]) -> AIOKafkaConsumer:
    """Return a consumer with the platform's settings."""
    return AIOKafkaConsumer(
        f"{environment['BENCH_PREFIX']}.{stage.source}",
        bootstrap_servers=environment["KAFKA_BOOTSTRAP"],
        group_id=f"{environment['BENCH_PREFIX']}.{stage.source}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        partition_assignment_strategy=[RangePartitionAssignor],
    )


async def main(environment: Mapping[str, str]) -> None:
    """Run all stages until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    clients = Clients(environment)
    producer = AIOKafkaProducer(bootstrap_servers=environment["KAFKA_BOOTSTRAP"], enable_idempotence=True)
    await producer.start()
    consumers = await asyncio.gather(*(joined(stage, environment) for stage in STAGES))
    tasks = [
        asyncio.create_task(follow(stage, consumer, producer, clients))
        for stage, consumer in zip(STAGES, consumers, strict=True)
    ]
    signal_ready(environment)
    ended = asyncio.create_task(stopped.wait())
    done, _ = await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in done - {ended}:
        task.result()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(*(consumer.stop() for consumer in consumers), producer.stop())
    await clients.close()


if __name__ == "__main__":
    uvloop.run(main(os.environ))
