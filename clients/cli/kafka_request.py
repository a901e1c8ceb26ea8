"""Publish a request on Kafka, as an upstream service does. Copy this file; it needs only aiokafka."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaProducer

TOPIC = "generation.requested.v1"


async def request_images(
    producer: AIOKafkaProducer,
    *,
    job_id: str,
    tenant: str,
    user_id: str,
    request: dict[str, Any],
    then: Sequence[dict[str, Any]] = (),
) -> None:
    """Publish a request and wait until the broker has acknowledged it. Repeating a `job_id` is safe."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    body = {
        "job_id": job_id,  # a UUID of your choice
        "tenant": tenant,
        "user_id": user_id,
        "request": request,  # contracts/schemas/generation.requested.v1.json
        "then": list(then),  # jobs that follow in a chain: docs/chain.md
        "requested_at": now,
    }
    headers = {
        "ce_specversion": "1.0",
        "ce_id": f"generation.requested:{job_id}",
        "ce_source": "/upstream/characters-app",
        "ce_type": TOPIC,
        "ce_time": now,
        "content-type": "application/json",
    }
    await producer.send_and_wait(
        TOPIC,
        key=job_id.encode(),
        value=json.dumps(body).encode(),
        headers=[(name, value.encode()) for name, value in headers.items()],
    )
