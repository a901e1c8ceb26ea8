"""A gateway dies at every marked point of an attempt's way, and another one finishes the attempt."""

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
from tests.e2e.crashing import Scene, a_scene
from tests.fakes.provider import a_command, a_spec

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

Commands = dict[tuple[Provider, CrashPoint], RenderRequested]

INHERITING: tuple[CrashPoint, ...] = ("during_takeover", "after_lookup")
ON_THE_WAY = tuple(point for point in get_args(CrashPoint) if point not in INHERITING)
OF_EACH_PROVIDER: tuple[CrashPoint, ...] = ("after_intent", "after_send", "after_answer", "while_polling")
"""Here it matters whom to ask and how; elsewhere the way is the same code, and Modal's goes it for all."""
DEATHS: tuple[tuple[Provider, CrashPoint], ...] = tuple(
    (provider, point)
    for point in ON_THE_WAY
    for provider in PROVIDERS
    if provider == "modal" or point in OF_EACH_PROVIDER
)
MAYBE_INTENDED: tuple[CrashPoint, ...] = ("after_accept", "before_intent")
"""The intent came with the command if a slot was free, which a process that has just begun may not have."""
WAYS, CHAINS = "ways", "chains"
KILLED = -signal.SIGKILL
BROKERS_AT_ONCE = 1
"""A broker costs seconds of both cores to start: several at once would starve the gateways."""
SLOW: CrashPoint = "while_polling"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> AsyncIterator[Scene]:
    state = tmp_path_factory.mktemp("stack")
    options = StackOptions(state=state, bootstrap=kafka, services=(), latency_seconds=0.5)
    async with Stack(options) as stack, a_scene(stack, tmp_path_factory.mktemp("scene")) as scene:
        yield scene


async def die_on_the_way(scene: Scene) -> Commands:
    """Beside a living process of each provider, others die, each with a command in hand."""
    living = dict(
        zip(PROVIDERS, await asyncio.gather(*(scene.live(each, WAYS) for each in PROVIDERS)), strict=True)
    )
    webhooks = {"FAL_WEBHOOK_BASE_URL": living["fal"]}
    commands: Commands = {}
    for provider, point in DEATHS:
        spec = a_spec(prompt="a lighthouse [slow]" if point == SLOW else "a lighthouse")
        commands[provider, point] = a_command(provider=provider, spec=spec)
    few = asyncio.Semaphore(BROKERS_AT_ONCE)

    async def die_at(point: CrashPoint) -> list[int]:
        deaths = [each for each in DEATHS if each[1] == point]
        async with few, scene.broker(*(commands[each] for each in deaths)) as broker:
            dying = (scene.die(provider, WAYS, point, broker, **webhooks) for provider, _ in deaths)
            return await asyncio.gather(*dying)

    exits = await asyncio.gather(*(die_at(point) for point in ON_THE_WAY))
    assert {code for codes in exits for code in codes} == {KILLED}, exits
    return commands


async def die_one_after_the_other(scene: Scene) -> list[RenderRequested]:
    """Of each provider one dies with a command in hand, those that inherit it die of that; then one lives."""
    commands: dict[Provider, RenderRequested] = {each: a_command(provider=each) for each in PROVIDERS}
    async with scene.broker(*commands.values()) as full, scene.broker() as empty, scene.broker() as other:
        deaths = []
        for provider in PROVIDERS:
            first: CrashPoint = "after_ref_saved" if provider == "fal" else "after_send"
            deaths.append(scene.die(provider, CHAINS, first, full))
            deaths.append(scene.die(provider, CHAINS, "during_takeover", empty))
            if provider != "fal":  # which cannot be asked, so that nothing is found there
                deaths.append(scene.die(provider, CHAINS, "after_lookup", other))
        exits = await asyncio.gather(*deaths)
    assert set(exits) == {KILLED}, exits
    await asyncio.gather(*(scene.live(provider, CHAINS) for provider in PROVIDERS))
    return list(commands.values())


async def submission_log(scene: Scene, provider: Provider) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(base_url=scene.stack.simulator_url(provider), trust_env=False) as http:
        found: list[dict[str, Any]] = (await http.get("/_sim/submissions")).json()
    return found


async def test_whatever_point_a_gateway_dies_at_another_finishes_its_attempts(scene: Scene) -> None:
    ways = await die_on_the_way(scene)
    chains = await die_one_after_the_other(scene)
    entries = await scene.entries(WAYS, len(ways)) + await scene.entries(CHAINS, len(chains))
    ledger = {entry["_id"]: entry for entry in entries}
    assert len(ledger) == len(ways) + len(chains), "each command has one entry"
    never_sent = ways["fal", "after_intent"].attempt_id
    await check_ends(scene, ledger, never_sent)
    await check_books(scene, ledger, never_sent)
    twice = {ways[provider, "after_intent"].attempt_id for provider in ("modal", "comfyui")}
    perhaps = {ways["modal", point].attempt_id for point in MAYBE_INTENDED}
    assert {key for key, entry in ledger.items() if entry["submissions"] == 2} - perhaps == twice


async def check_ends(scene: Scene, ledger: dict[str, Document], never_sent: str) -> None:
    """All have succeeded and are said to have, but for what nobody can know to have been sent."""
    unknown = ledger.pop(never_sent)
    assert (unknown["state"], unknown["billed"]) == ("failed", "unknown")
    assert {(entry["state"], entry["billed"]) for entry in ledger.values()} == {("succeeded", "yes")}
    said = await scene.said()
    assert said.pop(never_sent) == {RenderFailed.topic}
    assert said == {attempt_id: {RenderSucceeded.topic} for attempt_id in ledger}
    ledger[never_sent] = unknown


async def check_books(scene: Scene, ledger: dict[str, Document], never_sent: str) -> None:
    """Each attempt was taken once; the one that was never sent may be sent by nobody."""
    for provider in PROVIDERS:
        taken = await submission_log(scene, provider)
        ours = [key for key, entry in ledger.items() if entry["provider"] == provider and key != never_sent]
        names = ours if provider == "fal" else [idempotency_key_of(attempt_id) for attempt_id in ours]
        assert Counter(entry["our_id"] for entry in taken) == Counter(names), provider
        assert {entry["asked"] for entry in taken} == {1}, "nothing had to be de-duplicated"
