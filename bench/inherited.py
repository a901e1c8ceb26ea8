"""Attempts that a gateway process left behind when it died: at the provider, and in the ledger."""

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp

from bench import samples
from bench.contestants.contestant import Place, database_of
from services.gateways.kit.provider import idempotency_key_of
from shared.ids import uuid7

DEAD: Final = "gateway-modal:of a benchmark"
PAGE: Final = 500
AT_ONCE: Final = 64

Document = dict[str, Any]


async def leave_behind(place: Place, count: int) -> None:
    """So many attempts under the lease of a dead process: the next one to start takes them over.

    Taking them in one by one would be measured too, and take minutes before anything is seen.
    """
    async with database_of(place) as database:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as http:
            for size in _pages(count):
                attempts = await asyncio.gather(*(_submitted(http, place) for _ in range(size)))
                await database["attempts"].insert_many(attempts, ordered=False)
        long_ago = datetime.now(UTC) - timedelta(minutes=10)
        lease = {"_id": DEAD, "role": "gateway-modal", "until": long_ago, "expired": True}
        await database["gateway_leases"].insert_one(lease)


def _pages(count: int) -> Iterator[int]:
    for start in range(0, count, PAGE):
        yield min(PAGE, count - start)


async def _submitted(http: aiohttp.ClientSession, place: Place) -> Document:
    """One that the provider has, as the ledger would keep it."""
    job_id, environment = uuid7(), place.environment
    command = command_of(job_id, "modal")
    our_id = idempotency_key_of(command["attempt_id"])
    sent = samples.submission(job_id) | {"id": our_id}
    keys = {"Modal-Key": environment["MODAL_KEY"], "Modal-Secret": environment["MODAL_SECRET"]}
    async with http.post(f"{environment['MODAL_BASE_URL']}/submit", json=sent, headers=keys) as answer:
        call_id = (await answer.json())["call_id"]
    time = datetime.now(UTC)
    whose = {name: command[name] for name in ("job_id", "render_id", "tenant", "provider")}
    return {
        "_id": command["attempt_id"],
        **whose,
        "idempotency_key": our_id,
        "command": command,
        "trace": None,
        "state": "submitted",
        "owner": DEAD,
        "accepted_at": time,
        "submitting_at": time,
        "submitted_at": time,
        "submission_ref": {"id": call_id},
        "external_id": call_id,
        "submissions": 1,
        "billed": "yes",
    }


def command_of(job_id: str, provider: str) -> Document:
    """As the dispatcher gives it, with hours of time and a seed of its own: ComfyUI remembers pictures."""
    command = samples.fields("render.requested.modal", job_id, "bench")
    spec = command["spec"] | {"seed": random.getrandbits(32)}
    deadline = datetime.now(UTC) + timedelta(hours=2)
    return command | {"spec": spec, "provider": provider, "deadline_at": deadline.isoformat()}
