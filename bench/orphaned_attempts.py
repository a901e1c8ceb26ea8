"""Orphaned attempts: submitted to the provider and in the ledger, under the lease of a dead process."""

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp

from bench import samples
from bench.contestants.contestant import SharedServers, database_of
from services.gateways.kit.provider import idempotency_key_of
from shared.ids import uuid7

EXPIRED_OWNER: Final = "gateway-modal:of a benchmark"
PAGE: Final = 500
MAX_CONNECTIONS: Final = 64

Document = dict[str, Any]


async def create_orphaned_attempts(shared: SharedServers, count: int) -> None:
    """Create attempts under the expired lease of a dead process; the next process takes them over.

    Creating them from commands would take minutes and would be a part of the measurement.
    """
    async with database_of(shared) as database:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS)) as http:
            for size in _pages(count):
                attempts = await asyncio.gather(*(_submit(http, shared) for _ in range(size)))
                await database["attempts"].insert_many(attempts, ordered=False)
        long_ago = datetime.now(UTC) - timedelta(minutes=10)
        lease = {"_id": EXPIRED_OWNER, "role": "gateway-modal", "until": long_ago, "expired": True}
        await database["gateway_leases"].insert_one(lease)


def _pages(count: int) -> Iterator[int]:
    for start in range(0, count, PAGE):
        yield min(PAGE, count - start)


async def _submit(http: aiohttp.ClientSession, shared: SharedServers) -> Document:
    """Submit one attempt and return its ledger document."""
    job_id, environment = uuid7(), shared.environment
    command = command_of(job_id, "modal")
    idempotency_key = idempotency_key_of(command["attempt_id"])
    sent = samples.submission(job_id) | {"id": idempotency_key}
    keys = {"Modal-Key": environment["MODAL_KEY"], "Modal-Secret": environment["MODAL_SECRET"]}
    async with http.post(f"{environment['MODAL_BASE_URL']}/submit", json=sent, headers=keys) as answer:
        call_id = (await answer.json())["call_id"]
    time = datetime.now(UTC)
    identity = {name: command[name] for name in ("job_id", "render_id", "tenant", "provider")}
    return {
        "_id": command["attempt_id"],
        **identity,
        "idempotency_key": idempotency_key,
        "command": command,
        "trace": None,
        "state": "submitted",
        "owner": EXPIRED_OWNER,
        "accepted_at": time,
        "submitting_at": time,
        "submitted_at": time,
        "submission_ref": {"id": call_id},
        "external_id": call_id,
        "submissions": 1,
        "billed": "yes",
    }


def command_of(job_id: str, provider: str) -> Document:
    """Return a command of the dispatcher with a late deadline and a seed of its own, as ComfyUI caches
    pictures."""
    command = samples.fields("render.requested.modal", job_id, "bench")
    spec = command["spec"] | {"seed": random.getrandbits(32)}
    deadline = datetime.now(UTC) + timedelta(hours=2)
    return command | {"spec": spec, "provider": provider, "deadline_at": deadline.isoformat()}
