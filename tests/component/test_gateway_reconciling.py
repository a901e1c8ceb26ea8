"""A gateway process and its provider disagree: what is lost, what runs on, what is not ours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import pytest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from contracts.base import Provider as ProviderName
from contracts.operations import AttemptSettled
from contracts.renders import RenderFailed, RenderRequested, RenderSucceeded
from services.gateways.runtime.app import Process
from services.gateways.runtime.attempt import Attempt
from services.gateways.runtime.provider import Order, Pace, Provider, our_id_of
from services.gateways.runtime.reconciling import differences
from shared.clock import now
from shared.mongo import Database
from tests.fakes.adapters import Rig, a_rig
from tests.fakes.mongo import FakeCollection
from tests.fakes.provider import FakeProvider, a_command, an_order
from tests.fakes.publisher import FakePublisher
from tests.fakes.service import FakeService
from tests.fakes.waiting import until

NEVER = 600.0
SELDOM = Pace(first_poll=NEVER, slowest_poll=NEVER, slowest_poll_with_hints=NEVER, reconcile=0.05, grace=0.0)
"""What is found under this pace, the reconciliation has found."""


class House:
    """A process, and the database and broker that it uses."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.attempts = FakeCollection()
        self.leases = FakeCollection()
        self.publisher = FakePublisher(f"gateway-{provider.name}")
        self.service = FakeService(self.publisher)
        self.process: Process

    @asynccontextmanager
    async def running(self, pace: Pace = SELDOM) -> AsyncIterator["House"]:
        others = {name: FakeCollection() for name in ("provider_health", "gateway_shares")}
        database = others | {"attempts": self.attempts, "gateway_leases": self.leases}
        self.process = Process(self.provider, pace, cast(Database, database), self.service.service)
        task = asyncio.create_task(self.process.run())
        await until(lambda: self.leases.kept)
        yield self
        self.service.stop()
        await task

    async def submit(self, *commands: RenderRequested) -> None:
        """Deliver these, and wait until the provider has them."""
        await self.service.deliver(*commands)
        wanted = {command.attempt_id for command in commands}
        await until(lambda: wanted == {each.id for each in self.process._engine.sent() if each.handle})

    def entry(self, command: RenderRequested) -> dict[str, Any]:
        return self.attempts.kept[command.attempt_id]

    def put(self, command: RenderRequested, state: str, **fields: Any) -> None:
        """An entry of an attempt that ended a minute ago."""
        known = {
            "_id": command.attempt_id,
            "our_id": our_id_of(command.attempt_id),
            "provider": command.provider,
            "command": command.model_dump(),
            "state": state,
            "billed": "no",
            "submissions": 1,
            "finished_at": now() - timedelta(minutes=1),
        }
        self.attempts.kept[command.attempt_id] = known | fields


class Silence:
    """503 at one path, until it is over."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.met = 0
        self.over = False

    def wrap(self, app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope.get("path") == self.path and not self.over:
                self.met += 1
                return await Response("away", 503)(scope, receive, send)
            return await app(scope, receive, send)

        return answer


def an_order_of(command: RenderRequested) -> Order:
    return Attempt(command, trace=None).order


def counted(provider: ProviderName, kind: str) -> float:
    return float(differences.labels(provider, kind)._value.get())


async def submission_log(rig: Rig) -> list[tuple[str, str]]:
    return [(entry["our_id"], entry["state"]) for entry in await rig.submission_log()]


@pytest.mark.parametrize("name", ["modal", "comfyui"])
async def test_what_the_provider_has_lost_is_settled_without_waiting_for_a_poll(name: ProviderName) -> None:
    async with a_rig(name, latency_seconds=NEVER) as rig, House(rig.provider).running() as house:
        commands = [a_command(provider=name) for _ in range(3)]
        await house.submit(*commands)
        await rig.forget()
        await until(lambda: len(house.publisher.said(RenderFailed)) == 3)
    assert {failure.code for failure in house.publisher.said(RenderFailed)} == {"lost"}


@pytest.mark.parametrize("name", ["modal", "comfyui", "fal"])
async def test_what_has_ended_there_is_noticed_without_waiting_for_a_poll(name: ProviderName) -> None:
    """Fal cannot list what it has: it is asked for each."""
    async with (
        a_rig(name, latency_seconds=0.2, webhook_lost_rate=1.0) as rig,
        House(rig.provider).running() as house,
    ):
        await house.submit(a_command(provider=name))
        await until(lambda: house.publisher.said(RenderSucceeded))


@pytest.mark.parametrize(("name", "state"), [("modal", "failed"), ("comfyui", "cancelled")])
async def test_what_runs_although_it_has_ended_for_us_is_stopped_and_entered(
    name: ProviderName, state: str
) -> None:
    async with a_rig(name, latency_seconds=NEVER) as rig:
        house, command = House(rig.provider), a_command(provider=name)
        order = an_order_of(command)
        await rig.submit(order)
        await rig.reach(order, (await rig.provider.find(order)) or {}, "running")
        house.put(command, state)
        async with house.running():
            await until(lambda: house.entry(command).get("orphan"))
            assert house.entry(command)["look_at"] > now(), "it is looked at again"
            house.entry(command)["look_at"] = now()
            await until(lambda: "settled_as" in house.entry(command))
        assert await submission_log(rig) == [(order.uuid, "cancelled")]
    entry = house.entry(command)
    assert (entry["state"], entry["settled_as"], entry["billed"]) == (state, "cancelled", "yes")
    assert [each["topic"] for each in entry["outbox"]["messages"]] == [AttemptSettled.topic]


@pytest.mark.parametrize("name", ["modal", "comfyui"])
async def test_what_no_ledger_knows_is_counted_once_and_never_touched(name: ProviderName) -> None:
    before = counted(name, "stranger")
    async with a_rig(name, latency_seconds=NEVER) as rig, House(rig.provider).running() as house:
        stranger = an_order(name)
        await rig.submit(stranger)
        await until(lambda: counted(name, "stranger") > before)
        await asyncio.sleep(0.3)
        assert await submission_log(rig) == [(stranger.uuid, "running")]
    assert counted(name, "stranger") == before + 1
    assert house.attempts.kept == {}


async def test_what_people_draw_on_the_same_server_is_none_of_our_business() -> None:
    before = counted("comfyui", "stranger")
    async with a_rig("comfyui", latency_seconds=NEVER) as rig, House(rig.provider).running():
        graph = (await rig.provider.prepare(an_order("comfyui")))["prompt"]
        (await rig.http.post("/prompt", json={"prompt": graph})).raise_for_status()
        await asyncio.sleep(0.3)
        assert [state for _, state in await submission_log(rig)] == ["running"]
    assert counted("comfyui", "stranger") == before


@pytest.mark.parametrize("name", ["modal", "comfyui"])
async def test_what_another_process_has_in_flight_is_left_alone(name: ProviderName) -> None:
    async with a_rig(name, latency_seconds=NEVER) as rig:
        house, command = House(rig.provider), a_command(provider=name)
        await rig.submit(an_order_of(command))
        house.put(command, "submitted", finished_at=None)
        async with house.running():
            await asyncio.sleep(0.3)
        assert "look_at" not in house.entry(command)
        assert await submission_log(rig) == [(our_id_of(command.attempt_id), "running")]


async def test_what_is_ours_in_the_ledger_and_not_in_hand_is_taken_up() -> None:
    """A takeover whose write was done and whose answer was lost."""
    house, command = House(FakeProvider()), a_command()
    async with house.running():
        [owner] = house.leases.kept
        house.put(command, "submitted", owner=owner, handle={"id": "external"}, finished_at=None)
        await until(lambda: house.publisher.said(RenderSucceeded))
    assert house.entry(command)["state"] == "succeeded"


async def test_a_provider_that_does_not_tell_what_it_has_is_asked_again_later() -> None:
    silence = Silence("/calls")
    async with (
        a_rig("modal", latency_seconds=NEVER, wrap=silence.wrap) as rig,
        House(rig.provider).running() as house,
    ):
        command = a_command(provider="modal")
        await house.submit(command)
        await rig.forget()
        await until(lambda: silence.met > 2)
        assert "finished_at" not in house.entry(command)
        silence.over = True
        await until(lambda: house.publisher.said(RenderFailed))
