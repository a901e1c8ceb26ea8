"""The evidence, read from the places themselves: MongoDB, the bucket, the topic, the providers' books."""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import aioboto3
import httpx
from aiokafka import AIOKafkaConsumer
from pymongo import AsyncMongoClient

from deploy.local.stack import Stack
from tests.chaos.evidence import Evidence, Got, Said, Submission

PROVIDERS = ("modal", "comfyui", "fal")
EVENTS = "job.events.v1"
READS_AT_ONCE = 16


async def gather(stack: Stack, asked: Sequence[str], told: Mapping[str, str], got: Sequence[Got]) -> Evidence:
    """Everything, once all has come to rest. `told` is the webhook of each order that names one."""
    environment = stack.environment
    documents = await read_documents(environment)
    jobs = {job["_id"]: job for job in documents["jobs"]}
    return Evidence(
        asked=asked,
        told={job_id: url for job_id, url in told.items() if job_id in asked}
        | {
            job_id: job["notify"]["webhook_url"]
            for job_id, job in jobs.items()
            if (job.get("notify") or {}).get("webhook_url")
        },
        jobs=jobs,
        events=await read_events(environment["KAFKA_BOOTSTRAP"]),
        assets={asset["_id"]: asset for asset in documents["assets"]},
        objects=await read_objects(environment),
        attempts={attempt["_id"]: attempt for attempt in documents["attempts"]},
        submissions=await read_books(stack),
        got=got,
    )


async def read_documents(environment: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Whole collections."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(environment["MONGO_URL"], tz_aware=True)
    try:
        database = client[environment["MONGO_DATABASE"]]
        return {name: await database[name].find().to_list(None) for name in ("jobs", "assets", "attempts")}
    finally:
        await client.close()


async def read_events(bootstrap: str) -> list[Said]:
    """The topic from its beginning to its end, as of now."""
    consumer = AIOKafkaConsumer(EVENTS, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    said: list[Said] = []
    try:
        while batch := await consumer.getmany(timeout_ms=3000):
            for part in batch.values():
                said += [Said(dict(r.headers)["ce_id"].decode(), json.loads(r.value)) for r in part]
    finally:
        await consumer.stop()
    return said


async def read_objects(environment: dict[str, str]) -> dict[str, str]:
    """Every object's SHA-256, of the bytes that are read back."""
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


async def read_books(stack: Stack) -> list[Submission]:
    """What each provider says it took."""
    found = []
    async with httpx.AsyncClient(timeout=60.0, trust_env=False) as http:
        for provider in PROVIDERS:
            books = (await http.get(f"{stack.simulator_url(provider)}/_sim/submissions")).json()
            found += [Submission(provider, b["id"], b["our_id"], b["state"]) for b in books]
    return found
