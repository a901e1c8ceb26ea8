"""Reads the evidence: MongoDB, the bucket, the topics and the providers' submission logs."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import aioboto3
import httpx
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from pymongo import AsyncMongoClient

from deploy.local.stack import Stack
from tests.chaos.evidence import Evidence, PublishedEvent, ReceivedWebhook, Submission
from tests.chaos.load import Order

PROVIDERS = ("modal", "comfyui", "fal")
EVENTS = "job.events.v1"
DEAD_LETTERS = "dead-letters.v1"
COLLECTIONS = ("jobs", "chains", "assets", "attempts")
READS_AT_ONCE = 16
READ_SECONDS = 120.0


async def gather(
    stack: Stack,
    asked: Sequence[str],
    orders: Sequence[Order],
    webhooks: Sequence[ReceivedWebhook],
    under_way: Sequence[str],
) -> Evidence:
    """Return the evidence of a platform at rest."""
    environment = stack.environment
    bootstrap = environment["KAFKA_BOOTSTRAP"]
    documents = await read_documents(environment)
    jobs = documents["jobs"]
    by_chain = {
        job_id: job["notify"]["webhook_url"]
        for job_id, job in jobs.items()
        if (job.get("notify") or {}).get("webhook_url")
    }
    published = await read_topic(bootstrap, EVENTS)
    return Evidence(
        asked=asked,
        orders={order.job_id: order for order in orders},
        webhook_urls=by_chain
        | {order.job_id: order.webhook for order in orders if order.webhook and order.job_id in asked},
        jobs=jobs,
        chains=documents["chains"],
        events=[PublishedEvent(dict(r.headers)["ce_id"].decode(), json.loads(r.value)) for r in published],
        dead_letters=[json.loads(record.value) for record in await read_topic(bootstrap, DEAD_LETTERS)],
        assets=documents["assets"],
        objects=await read_objects(environment),
        attempts=documents["attempts"],
        submissions=await read_submissions(stack),
        webhooks=webhooks,
        under_way=under_way,
        secret=environment["NOTIFIER_WEBHOOK_SECRET"],
    )


async def read_documents(environment: dict[str, str]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return whole collections, by id."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(environment["MONGO_URL"], tz_aware=True)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    try:
        database = client[environment["MONGO_DATABASE"]]
        for name in COLLECTIONS:
            found[name] = {each["_id"]: each for each in await database[name].find().to_list(None)}
    finally:
        await client.close()
    return found


async def read_topic(bootstrap: str, topic: str) -> list[ConsumerRecord]:
    """Return all records of a topic up to its current end."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    records: list[ConsumerRecord] = []
    try:
        parts = await parts_of(bootstrap, topic)
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        async with asyncio.timeout(READ_SECONDS):
            while any([await consumer.position(part) < end for part, end in ends.items()]):
                for batch in (await consumer.getmany(timeout_ms=1000)).values():
                    records += batch
    finally:
        await consumer.stop()
    return records


async def parts_of(bootstrap: str, *topics: str) -> list[TopicPartition]:
    """Return the partitions of topics from the broker: a new consumer has no metadata of them yet.

    Raises:
        LookupError: when a topic does not exist.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        found = await admin.describe_topics(list(topics))
    finally:
        await admin.close()
    parts = {each["topic"]: [part["partition"] for part in each["partitions"]] for each in found}
    if missing := [topic for topic in topics if not parts.get(topic)]:
        raise LookupError(f"no such topics: {missing}")
    return [TopicPartition(topic, number) for topic in topics for number in parts[topic]]


async def read_objects(environment: dict[str, str]) -> dict[str, str]:
    """Return the SHA-256 of the content of every object."""
    session = aioboto3.Session(
        environment["S3_ACCESS_KEY"], environment["S3_SECRET_KEY"], region_name=environment["S3_REGION"]
    )
    bucket = environment["S3_BUCKET"]
    at_once = asyncio.Semaphore(READS_AT_ONCE)
    async with session.client("s3", endpoint_url=environment["S3_ENDPOINT"]) as s3:

        async def digest(key: str) -> tuple[str, str]:
            async with at_once:
                answer = await s3.get_object(Bucket=bucket, Key=key)
                return key, hashlib.sha256(await answer["Body"].read()).hexdigest()

        keys: list[str] = []
        async for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            keys += [each["Key"] for each in page.get("Contents", ())]
        return dict(await asyncio.gather(*map(digest, keys)))


async def read_submissions(stack: Stack) -> list[Submission]:
    """Return the entries of the submission log of each provider."""
    found = []
    async with httpx.AsyncClient(timeout=60.0, trust_env=False) as http:
        for provider in PROVIDERS:
            submission_log = (await http.get(f"{stack.simulator_url(provider)}/_sim/submissions")).json()
            found += [submission_of(provider, entry) for entry in submission_log]
    return found


def submission_of(provider: str, entry: dict[str, Any]) -> Submission:
    """Return one entry of a simulator's submission log."""
    return Submission(
        provider=provider,
        id=entry["id"],
        idempotency_key=entry["our_id"],
        state=entry["state"],
        at=datetime.fromisoformat(entry["at"]),
        requests=entry["asked"],
    )
