"""One run: a stack, faces, orders under injected faults, rest, evidence, verdict."""

import asyncio
import logging
import shutil
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from random import Random
from typing import Any

import httpx

from deploy.local.services import SERVICES
from deploy.local.stack import Stack, StackOptions
from tests.chaos.checker import check
from tests.chaos.evidence import ReceivedWebhook
from tests.chaos.faces import make_faces
from tests.chaos.gather import PROVIDERS, gather
from tests.chaos.load import orders
from tests.chaos.loading import Loading
from tests.chaos.monkey import Monkey
from tests.chaos.outages import SERVERS, Outages, lasts
from tests.chaos.plan import Plan
from tests.chaos.receiver import Receiver, ReceiverBehaviour
from tests.chaos.report import Report
from tests.chaos.settling import all_ready, at_rest, ended
from tests.chaos.upstream import Upstream
from tests.chaos.watching import Watcher
from tests.chaos.work import Work, unfinished_work

log = logging.getLogger("chaos")

MOST_OPEN_JOBS = 60
"""Maximum number of open jobs in a large run."""
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
BEHAVIOURS = (
    ReceiverBehaviour(),
    ReceiverBehaviour(fails=0.2, forgets=0.05),
    ReceiverBehaviour(delay=0.2, fails=0.05),
)
SHORT_WAITS = {"FAL_GRACE_SECONDS": "15"}


async def run(plan: Plan) -> Report:
    """Carry out a plan within its time."""
    shutil.rmtree(plan.out / "stack", ignore_errors=True)  # the same seed gives the same ids
    started, rng, got = time.monotonic(), Random(plan.seed), list[ReceivedWebhook]()

    def left() -> float:
        return plan.seconds - plan.rest_seconds - (time.monotonic() - started)

    async with AsyncExitStack() as opened:
        receivers = [
            await opened.enter_async_context(Receiver(behaviour, got, Random(plan.seed + n)))
            for n, behaviour in enumerate(BEHAVIOURS)
        ]
        stack = await opened.enter_async_context(Stack(_options(plan)))
        bootstrap = stack.environment["KAFKA_BOOTSTRAP"]
        upstream = await opened.enter_async_context(Upstream(bootstrap, lambda: _apis(stack)))
        watcher = Watcher(bootstrap)
        watching = asyncio.create_task(watcher.run())
        await _behave(stack, tiny=True)
        faces, first = await make_faces(upstream, watcher, rng)
        await _behave(stack, **FAULTY_PROVIDERS, seed=plan.seed)
        injection = _faults_of(plan, stack, receivers)
        upstream.now = lambda: injection.now
        breaking = asyncio.create_task(injection.run())
        wanted = orders(plan.jobs, rng, faces, [receiver.url for receiver in receivers])
        loading = _loading(plan, upstream, watcher)
        await loading.run(wanted, left())
        asked = [*(order.job_id for order in first), *loading.asked]
        late = await ended(watcher, asked, max(60.0, left()))
        log.info("%d jobs ended, %d late; no further faults", len(watcher.ended), len(late))
        if plan.outages:
            await breaking
        breaking.cancel()
        await asyncio.gather(breaking, return_exceptions=True)
        await _behave(stack, **dict.fromkeys(("fail_rate", "lose_answer_rate"), 0.0))
        for receiver in receivers:
            receiver.behaviour = ReceiverBehaviour()
        await all_ready(stack, 60.0)
        under_way = await at_rest(stack, plan.rest_seconds / 2)
        watching.cancel()
        evidence = await gather(stack, asked, [*first, *wanted], got, under_way)
    work = _work(plan, loading, injection)
    faults = [*unfinished_work(work), *check(evidence)]
    seconds = time.monotonic() - started
    return Report(plan, evidence, work, faults, injection.done, injection.kills, seconds)


def _options(plan: Plan) -> StackOptions:
    return StackOptions(
        state=plan.out / "stack",
        latency_seconds=0.05,
        instances=dict.fromkeys(SERVICES, plan.instances),
        proxied=("kafka", "mongo", "s3"),
        environment=SHORT_WAITS,
        launcher=("tests.chaos.broken", plan.broken) if plan.broken else (),
    )


def _faults_of(plan: Plan, stack: Stack, receivers: Sequence[Receiver]) -> Monkey | Outages:
    if plan.outages:
        return Outages(stack, plan.outages)
    return Monkey(stack, receivers, Random(plan.seed), plan.profile)


def _loading(plan: Plan, upstream: Upstream, watcher: Watcher) -> Loading:
    """Return a load that lasts as long as one round of faults, or as all outages."""
    if plan.outages:
        return Loading(upstream, watcher, every=lasts(plan.outages) / plan.jobs)
    most = min(MOST_OPEN_JOBS, max(10, plan.jobs // 4))
    return Loading(upstream, watcher, every=plan.profile.round_seconds / plan.jobs, most_open=most)


def _work(plan: Plan, loading: Loading, injection: Monkey | Outages) -> Work:
    outages = injection if isinstance(injection, Outages) else None
    return Work(
        planned=plan.jobs,
        asked=len(loading.asked),
        failures=injection.failures,
        missed=injection.missed,
        answers=loading.upstream.answers,
        outages=SERVERS if outages else (),
        before_mb=outages.before_mb if outages else {},
        most_mb=outages.most_mb if outages else {},
    )


def _apis(stack: Stack) -> list[str]:
    return [address for name, address in stack.addresses.items() if name.split("-")[0] == "api"]


async def _behave(stack: Stack, **behaviour: Any) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=30.0) as http:
        for provider in PROVIDERS:
            url = f"{stack.simulator_url(provider)}/_sim/behaviour"
            (await http.post(url, json=behaviour)).raise_for_status()
