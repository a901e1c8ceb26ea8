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
from services.gateways.kit.provider import AttemptRequest, Provider, idempotency_key_of
from services.gateways.runtime.app import Process
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from services.gateways.runtime.recovery.reconciler import differences
from shared.clock import now
from shared.mongo import Database
from tests.fakes.adapters import AdapterHarness, an_adapter_harness, lookup_of
from tests.fakes.mongo import FakeCollection
from tests.fakes.provider import FakeProvider, a_command, an_attempt_request
from tests.fakes.publisher import FakePublisher
from tests.fakes.service import FakeService
from tests.fakes.waiting import until

NEVER = 600.0
SELDOM = ProviderLimits(
    first_poll_interval=NEVER,
    max_poll_interval=NEVER,
    max_poll_interval_streaming=NEVER,
    reconcile_interval=0.05,
    grace_period=0.0,
)
"""Limits without polls: only the reconciler can find a difference."""


class ProcessHarness:
    """A process, and the database and broker that it uses."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.attempts = FakeCollection()
        self.leases = FakeCollection()
        self.publisher = FakePublisher(f"gateway-{provider.name}")
        self.service = FakeService(self.publisher)
        self.process: Process

    @asynccontextmanager
    async def running(self, limits: ProviderLimits = SELDOM) -> AsyncIterator["ProcessHarness"]:
        others = {name: FakeCollection() for name in ("provider_health", "gateway_shares")}
        database = others | {"attempts": self.attempts, "gateway_leases": self.leases}
        self.process = Process(self.provider, limits, cast(Database, database), self.service.service)
        task = asyncio.create_task(self.process.run())
        await until(lambda: self.leases.kept)
        yield self
        self.service.stop()
        await task

    async def submit(self, *commands: RenderRequested) -> None:
        """Deliver these, and wait until the provider has them."""
        await self.service.deliver(*commands)
        wanted = {command.attempt_id for command in commands}
        await until(lambda: wanted == {each.id for each in self.process._engine.sent() if each.ref})

    def entry(self, command: RenderRequested) -> dict[str, Any]:
        return self.attempts.kept[command.attempt_id]

    def put(self, command: RenderRequested, state: str, **fields: Any) -> None:
        """An entry of an attempt that ended a minute ago."""
        known = {
            "_id": command.attempt_id,
            "idempotency_key": idempotency_key_of(command.attempt_id),
            "provider": command.provider,
            "command": command.model_dump(),
            "state": state,
            "billed": "no",
            "submissions": 1,
            "finished_at": now() - timedelta(minutes=1),
        }
        self.attempts.kept[command.attempt_id] = known | fields


class UnavailableList:
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


def an_order_of(command: RenderRequested) -> AttemptRequest:
    return Attempt(command, trace=None).request


def counted(provider: ProviderName, kind: str) -> float:
    return float(differences.labels(provider, kind)._value.get())


async def submission_log(adapter: AdapterHarness) -> list[tuple[str, str]]:
    return [(entry["our_id"], entry["state"]) for entry in await adapter.submission_log()]


@pytest.mark.parametrize("name", ["modal", "comfyui"])
async def test_a_submission_lost_at_the_provider_is_noticed_without_waiting_for_a_poll(
    name: ProviderName,
) -> None:
    async with (
        an_adapter_harness(name, latency_seconds=NEVER) as adapter,
        ProcessHarness(adapter.provider).running() as harness,
    ):
        commands = [a_command(provider=name) for _ in range(3)]
        await harness.submit(*commands)
        await adapter.forget()
        await until(lambda: len(harness.publisher.said(RenderFailed)) == 3)
    assert {failure.code for failure in harness.publisher.said(RenderFailed)} == {"lost"}


@pytest.mark.parametrize("name", ["modal", "comfyui", "fal"])
async def test_an_end_at_the_provider_is_noticed_without_waiting_for_a_poll(name: ProviderName) -> None:
    """Fal cannot list what it has: it is asked for each."""
    async with (
        an_adapter_harness(name, latency_seconds=0.2, webhook_lost_rate=1.0) as adapter,
        ProcessHarness(adapter.provider).running() as harness,
    ):
        await harness.submit(a_command(provider=name))
        await until(lambda: harness.publisher.said(RenderSucceeded))


@pytest.mark.parametrize(("name", "state"), [("modal", "failed"), ("comfyui", "cancelled")])
async def test_an_orphan_is_stopped_and_its_outcome_recorded(name: ProviderName, state: str) -> None:
    async with an_adapter_harness(name, latency_seconds=NEVER) as adapter:
        harness, command = ProcessHarness(adapter.provider), a_command(provider=name)
        request = an_order_of(command)
        await adapter.submit(request)
        await adapter.reach(request, (await lookup_of(adapter.provider).find(request)) or {}, "running")
        harness.put(command, state)
        async with harness.running():
            await until(lambda: harness.entry(command).get("orphan"))
            assert harness.entry(command)["next_check_at"] > now(), "it is looked at again"
            harness.entry(command)["next_check_at"] = now()
            await until(lambda: "final_outcome" in harness.entry(command))
        assert await submission_log(adapter) == [(request.idempotency_key, "cancelled")]
    entry = harness.entry(command)
    assert (entry["state"], entry["final_outcome"], entry["billed"]) == (state, "cancelled", "yes")
    assert [each["topic"] for each in entry["outbox"]["messages"]] == [AttemptSettled.topic]


@pytest.mark.parametrize("name", ["modal", "comfyui"])
async def test_an_unknown_submission_is_counted_once_and_never_touched(name: ProviderName) -> None:
    before = counted(name, "unknown_id")
    async with (
        an_adapter_harness(name, latency_seconds=NEVER) as adapter,
        ProcessHarness(adapter.provider).running() as harness,
    ):
        unknown_id = an_attempt_request(name)
        await adapter.submit(unknown_id)
        await until(lambda: counted(name, "unknown_id") > before)
        await asyncio.sleep(0.3)
        assert await submission_log(adapter) == [(unknown_id.idempotency_key, "running")]
    assert counted(name, "unknown_id") == before + 1
    assert harness.attempts.kept == {}


async def test_submissions_of_other_users_of_the_server_are_ignored() -> None:
    before = counted("comfyui", "unknown_id")
    async with (
        an_adapter_harness("comfyui", latency_seconds=NEVER) as adapter,
        ProcessHarness(adapter.provider).running(),
    ):
        graph = (await adapter.provider.prepare(an_attempt_request("comfyui")))["prompt"]
        (await adapter.http.post("/prompt", json={"prompt": graph})).raise_for_status()
        await asyncio.sleep(0.3)
        assert [state for _, state in await submission_log(adapter)] == ["running"]
    assert counted("comfyui", "unknown_id") == before


@pytest.mark.parametrize("name", ["modal", "comfyui"])
async def test_submissions_of_another_process_are_left_alone(name: ProviderName) -> None:
    async with an_adapter_harness(name, latency_seconds=NEVER) as adapter:
        harness, command = ProcessHarness(adapter.provider), a_command(provider=name)
        await adapter.submit(an_order_of(command))
        harness.put(command, "submitted", finished_at=None)
        async with harness.running():
            await asyncio.sleep(0.3)
        assert "next_check_at" not in harness.entry(command)
        assert await submission_log(adapter) == [(idempotency_key_of(command.attempt_id), "running")]


async def test_a_stranded_attempt_is_continued() -> None:
    """A takeover whose write was done and whose answer was lost."""
    harness, command = ProcessHarness(FakeProvider()), a_command()
    async with harness.running():
        [owner] = harness.leases.kept
        harness.put(command, "submitted", owner=owner, submission_ref={"id": "external"}, finished_at=None)
        await until(lambda: harness.publisher.said(RenderSucceeded))
    assert harness.entry(command)["state"] == "succeeded"


async def test_an_unavailable_inventory_is_asked_for_again() -> None:
    silence = UnavailableList("/calls")
    async with (
        an_adapter_harness("modal", latency_seconds=NEVER, wrap=silence.wrap) as adapter,
        ProcessHarness(adapter.provider).running() as harness,
    ):
        command = a_command(provider="modal")
        await harness.submit(command)
        await adapter.forget()
        await until(lambda: silence.met > 2)
        assert "finished_at" not in harness.entry(command)
        silence.over = True
        await until(lambda: harness.publisher.said(RenderFailed))
