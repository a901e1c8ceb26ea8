"""A gateway crashes at every crash point of an attempt, and another one finishes the attempt."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, get_args

import httpx
import pytest
import pytest_asyncio

from contracts.base import PROVIDERS, Provider
from contracts.renders import RenderFailed, RenderRequested, RenderSucceeded
from deploy.local.stack import Stack, StackOptions
from services.gateways.kit.crash_points import CrashPoint
from services.gateways.kit.provider import idempotency_key_of
from shared.mongo import Document
from tests.e2e.crashing import CrashHarness, a_crash_harness
from tests.fakes.provider import a_command, a_spec

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

Commands = dict[tuple[Provider, CrashPoint], RenderRequested]

INHERITING: tuple[CrashPoint, ...] = ("during_takeover", "after_lookup")
ON_THE_WAY = tuple(point for point in get_args(CrashPoint) if point not in INHERITING)
OF_EACH_PROVIDER: tuple[CrashPoint, ...] = ("after_intent", "after_send", "after_answer", "while_polling")
"""Crash points whose code depends on the provider; Modal covers the others for all."""
DEATHS: tuple[tuple[Provider, CrashPoint], ...] = tuple(
    (provider, point)
    for point in ON_THE_WAY
    for provider in PROVIDERS
    if provider == "modal" or point in OF_EACH_PROVIDER
)
MAYBE_INTENDED: tuple[CrashPoint, ...] = ("after_accept", "before_intent")
"""Crash points that are reached only without a free slot on arrival: a new process has no slot yet."""
WAYS, CHAINS = "ways", "chains"
KILLED = -signal.SIGKILL
BROKERS_AT_ONCE = 1
"""Limits the brokers that start at once: each needs seconds of both cores."""
SLOW: CrashPoint = "while_polling"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def harness(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> AsyncIterator[CrashHarness]:
    state = tmp_path_factory.mktemp("stack")
    options = StackOptions(state=state, bootstrap=kafka, services=(), latency_seconds=0.5)
    async with Stack(options) as stack, a_crash_harness(stack, tmp_path_factory.mktemp("crashes")) as harness:
        yield harness


async def crash_at_each_point(harness: CrashHarness) -> Commands:
    """Crash one process at each point, each with a command, beside a running process of each provider."""
    living = dict(
        zip(
            PROVIDERS,
            await asyncio.gather(*(harness.start_gateway(each, WAYS) for each in PROVIDERS)),
            strict=True,
        )
    )
    webhooks = {"FAL_WEBHOOK_BASE_URL": living["fal"]}
    commands: Commands = {}
    for provider, point in DEATHS:
        spec = a_spec(prompt="a lighthouse [slow]" if point == SLOW else "a lighthouse")
        commands[provider, point] = a_command(provider=provider, spec=spec)
    few = asyncio.Semaphore(BROKERS_AT_ONCE)

    async def die_at(point: CrashPoint) -> list[int]:
        deaths = [each for each in DEATHS if each[1] == point]
        async with few, harness.broker(*(commands[each] for each in deaths)) as broker:
            dying = (harness.crash(provider, WAYS, point, broker, **webhooks) for provider, _ in deaths)
            return await asyncio.gather(*dying)

    exits = await asyncio.gather(*(die_at(point) for point in ON_THE_WAY))
    assert {code for codes in exits for code in codes} == {KILLED}, exits
    return commands


async def crash_successively(harness: CrashHarness) -> list[RenderRequested]:
    """Crash one process of each provider with a command, then its successors; then start one that runs."""
    commands: dict[Provider, RenderRequested] = {each: a_command(provider=each) for each in PROVIDERS}
    async with (
        harness.broker(*commands.values()) as full,
        harness.broker() as empty,
        harness.broker() as other,
    ):
        deaths = []
        for provider in PROVIDERS:
            first: CrashPoint = "after_ref_saved" if provider == "fal" else "after_send"
            deaths.append(harness.crash(provider, CHAINS, first, full))
            deaths.append(harness.crash(provider, CHAINS, "during_takeover", empty))
            if provider != "fal":  # Fal has no lookup
                deaths.append(harness.crash(provider, CHAINS, "after_lookup", other))
        exits = await asyncio.gather(*deaths)
    assert set(exits) == {KILLED}, exits
    await asyncio.gather(*(harness.start_gateway(provider, CHAINS) for provider in PROVIDERS))
    return list(commands.values())


async def submission_log(harness: CrashHarness, provider: Provider) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(base_url=harness.stack.simulator_url(provider), trust_env=False) as http:
        found: list[dict[str, Any]] = (await http.get("/_sim/submissions")).json()
    return found


async def test_another_gateway_finishes_the_attempts_of_one_that_crashed_at_any_point(
    harness: CrashHarness,
) -> None:
    ways = await crash_at_each_point(harness)
    chains = await crash_successively(harness)
    entries = await harness.entries(WAYS, len(ways)) + await harness.entries(CHAINS, len(chains))
    ledger = {entry["_id"]: entry for entry in entries}
    assert len(ledger) == len(ways) + len(chains), "each command has one entry"
    never_sent = ways["fal", "after_intent"].attempt_id
    await check_outcomes(harness, ledger, never_sent)
    await check_submission_logs(harness, ledger, never_sent)
    twice = {ways[provider, "after_intent"].attempt_id for provider in ("modal", "comfyui")}
    perhaps = {ways["modal", point].attempt_id for point in MAYBE_INTENDED}
    assert {key for key, entry in ledger.items() if entry["submissions"] == 2} - perhaps == twice


async def check_outcomes(harness: CrashHarness, ledger: dict[str, Document], never_sent: str) -> None:
    """Check that all attempts succeeded and were published, except one that cannot be known to be sent."""
    unknown = ledger.pop(never_sent)
    assert (unknown["state"], unknown["billed"]) == ("failed", "unknown")
    assert {(entry["state"], entry["billed"]) for entry in ledger.values()} == {("succeeded", "yes")}
    published_ends = await harness.published_ends()
    assert published_ends.pop(never_sent) == {RenderFailed.topic}
    assert published_ends == {attempt_id: {RenderSucceeded.topic} for attempt_id in ledger}
    ledger[never_sent] = unknown


async def check_submission_logs(harness: CrashHarness, ledger: dict[str, Document], never_sent: str) -> None:
    """Check that each attempt was submitted once, except the one that was never sent."""
    for provider in PROVIDERS:
        taken = await submission_log(harness, provider)
        ours = [key for key, entry in ledger.items() if entry["provider"] == provider and key != never_sent]
        names = ours if provider == "fal" else [idempotency_key_of(attempt_id) for attempt_id in ours]
        assert Counter(entry["our_id"] for entry in taken) == Counter(names), provider
        assert {entry["asked"] for entry in taken} == {1}, "nothing had to be de-duplicated"
