"""One run: a stack, faces, orders while a monkey breaks things, rest, evidence, verdict."""

import asyncio
import logging
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx

from deploy.local.services import SERVICES
from deploy.local.stack import Stack, StackOptions
from tests.chaos.asking import Upstream
from tests.chaos.checker import Fault, check
from tests.chaos.evidence import Evidence, Got
from tests.chaos.faces import make_faces
from tests.chaos.gather import PROVIDERS, gather
from tests.chaos.load import Order, orders
from tests.chaos.monkey import Monkey, Temper
from tests.chaos.outages import Outages
from tests.chaos.receiver import Manners, Receiver
from tests.chaos.settling import all_ready, at_rest, ended
from tests.chaos.watching import Watcher

log = logging.getLogger("chaos")

OPEN_JOBS = 60
"""So many are under way at once: the load lasts while things break."""
FAULTY_PROVIDERS: dict[str, Any] = {
    "tiny": True,
    "latency_seconds": 0.3,
    "jitter": 0.5,
    "concurrency": 16,
    "fail_rate": 0.05,
    "fail_kind": "transient",
    "lose_answer_rate": 0.02,
    "webhook_duplicates": 1,
    "webhook_delay_seconds": 0.5,
}
MANNERS = (Manners(), Manners(fails=0.2, forgets=0.05), Manners(delay=0.2, fails=0.05))
SHORT_WAITS = {"FAL_GRACE_SECONDS": "15", "KAFKA_FETCH_MAX_WAIT_MS": "150"}
"""So many processes that wait for messages cost the embedded broker more than the messages do."""


@dataclass(frozen=True)
class Plan:
    """What is to be done."""

    jobs: int
    seed: int
    seconds: float
    out: Path
    instances: int = 2
    rest_seconds: float = 240.0
    """Of its time so much is kept for coming to rest and for the checker."""
    broken: str | None = None
    outages: float | None = None
    """Seconds for which each server is away; then nothing else is broken."""
    temper: Temper = field(default_factory=Temper)


@dataclass(frozen=True)
class Report:
    """What came of it."""

    plan: Plan
    evidence: Evidence
    faults: Sequence[Fault]
    under_way: Sequence[str]
    trouble: Monkey | Outages
    seconds: float

    def last_line(self) -> dict[str, object]:
        """The verdict."""
        kinds = Counter(fault.kind for fault in self.faults)
        terminal = sum(job["status"] in ("completed", "failed") for job in self.evidence.jobs.values())
        return {
            "jobs": len(self.evidence.jobs),
            "terminal": terminal,
            "lost": kinds["lost"],
            "duplicate_assets": kinds["duplicate_asset"],
            "unexplained_submissions": kinds["unexplained_submission"],
            "missing_notifications": kinds["missing_notification"],
            "kills": self.trouble.kills,
            "seed": self.plan.seed,
        }

    def whole(self) -> dict[str, object]:
        """The verdict, and what it rests on."""
        jobs = self.evidence.jobs.values()
        return self.last_line() | {
            "seconds": round(self.seconds),
            "asked": len(self.evidence.asked),
            "completed": sum(job["status"] == "completed" for job in jobs),
            "errors": Counter(job["error"]["code"] for job in jobs if job["error"]),
            "types": Counter(job["type"] for job in jobs),
            "images": sum(job["delivered"] for job in jobs),
            "submissions": Counter(each.provider for each in self.evidence.submissions),
            "webhooks": len(self.evidence.got),
            "done": dict(sorted(self.trouble.done.items())),
            "most_mb": self.trouble.most_mb if isinstance(self.trouble, Outages) else {},
            "faults": Counter(fault.kind for fault in self.faults),
            "under_way": list(self.under_way)[:20],
        }


async def run(plan: Plan) -> Report:
    """Do it, within the plan's time."""
    shutil.rmtree(plan.out / "stack", ignore_errors=True)  # the same seed gives the same ids
    started, dice, got = time.monotonic(), Random(plan.seed), list[Got]()
    options = StackOptions(
        state=plan.out / "stack",
        latency_seconds=0.05,
        instances=dict.fromkeys(SERVICES, plan.instances),
        proxied=("kafka", "mongo", "s3"),
        environment=SHORT_WAITS,
        launcher=("tests.chaos.broken", plan.broken) if plan.broken else (),
    )
    async with AsyncExitStack() as opened:
        receivers = [
            await opened.enter_async_context(Receiver(manners, got, Random(plan.seed + n)))
            for n, manners in enumerate(MANNERS)
        ]
        stack = await opened.enter_async_context(Stack(options))
        bootstrap = stack.environment["KAFKA_BOOTSTRAP"]
        upstream = await opened.enter_async_context(Upstream(bootstrap, lambda: _apis(stack)))
        watcher = Watcher(bootstrap)
        watching = asyncio.create_task(watcher.run())
        await _behave(stack, tiny=True)
        faces, ordered = await make_faces(upstream, watcher, dice)
        first = [order.job_id for order in ordered]
        await _behave(stack, **FAULTY_PROVIDERS, seed=plan.seed)
        trouble: Monkey | Outages = (
            Outages(stack, plan.outages)
            if plan.outages
            else Monkey(stack, receivers, Random(plan.seed), plan.temper)
        )
        breaking = asyncio.create_task(trouble.run())
        wanted = orders(plan.jobs, dice, faces, [receiver.url for receiver in receivers])
        left = plan.seconds - plan.rest_seconds - (time.monotonic() - started)
        asked = [*first, *await _ask_all(upstream, watcher, wanted, left)]
        left = plan.seconds - plan.rest_seconds - (time.monotonic() - started)
        late = await ended(watcher, asked, max(60.0, left))
        log.info("%d jobs ended, %d late; all is left in peace", len(watcher.ended), len(late))
        if plan.outages:
            await breaking
        breaking.cancel()
        await asyncio.gather(breaking, return_exceptions=True)
        await _behave(stack, **dict.fromkeys(("fail_rate", "lose_answer_rate"), 0.0))
        await all_ready(stack, 60.0)
        under_way = await at_rest(stack, plan.rest_seconds / 2)
        watching.cancel()
        evidence = await gather(stack, asked, [*ordered, *wanted], got, under_way)
    return Report(plan, evidence, check(evidence), under_way, trouble, time.monotonic() - started)


def _apis(stack: Stack) -> list[str]:
    return [address for name, address in stack.addresses.items() if name.split("-")[0] == "api"]


async def _behave(stack: Stack, **behaviour: Any) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=30.0) as http:
        for provider in PROVIDERS:
            url = f"{stack.simulator_url(provider)}/_sim/behaviour"
            (await http.post(url, json=behaviour)).raise_for_status()


async def _ask_all(
    upstream: Upstream, watcher: Watcher, wanted: Sequence[Order], seconds: float
) -> list[str]:
    """Say orders until the time is up; returns the jobs whose request was acknowledged."""
    asked: list[str] = []
    cancels: set[asyncio.Task[None]] = set()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            for order in wanted:
                await watcher.until_open(len(asked), OPEN_JOBS)
                await upstream.ask(order)
                asked.append(order.job_id)
                if order.cancelled_after is not None:
                    cancels.add(asyncio.create_task(_cancel(upstream, order)))
                if len(asked) % 50 == 0:
                    log.info("%d asked for, %d ended", len(asked), len(watcher.ended))
    await asyncio.gather(*cancels)
    return asked


async def _cancel(upstream: Upstream, order: Order) -> None:
    await asyncio.sleep(order.cancelled_after or 0.0)
    await upstream.cancel(order)
