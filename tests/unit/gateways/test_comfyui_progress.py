"""ComfyUI's websocket: hints make polls immediate or rare, and never end an attempt."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import httpx
import pytest
from websockets.asyncio.server import ServerConnection, serve

from contracts.renders import RenderProgressed, RenderRequested, RenderSucceeded
from services.gateways.comfyui.adapter import ComfyUIProvider
from services.gateways.comfyui.progress_hints import Socket, Steps
from services.gateways.comfyui.settings import ComfyUISettings
from services.gateways.kit.provider import ProgressHint, StatusUnavailable
from services.gateways.runtime.app import Process
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from shared.mongo import Database
from tests.fakes.adapters import AdapterHarness, an_adapter_harness, quick_client
from tests.fakes.mongo import FakeCollection
from tests.fakes.provider import a_command, an_attempt_request
from tests.fakes.publisher import FakePublisher
from tests.fakes.service import FakeService
from tests.fakes.waiting import background, until

RARELY = ProviderLimits(
    slots=20,
    first_poll_interval=60.0,
    max_poll_interval=60.0,
    max_poll_interval_streaming=60.0,
    submit_timeout=5.0,
)
GRAPH = {
    "1": {"class_type": "KSampler"},
    "2": {"class_type": "SamplerCustomAdvanced"},
    "3": {"class_type": "KSamplerSelect"},
    "4": {"class_type": "VAEDecodeTiled"},
}


class ProcessHarness:
    """Processes of the ComfyUI gateway around one simulator."""

    def __init__(self, adapter: AdapterHarness, http: httpx.AsyncClient) -> None:
        self.adapter = adapter
        self._http = http
        self.attempts = FakeCollection()
        self.publisher = FakePublisher("gateway-comfyui")
        names = ("provider_health", "gateway_shares", "gateway_leases")
        self.others = {name: FakeCollection() for name in names}
        self.provider = self.new_provider()

    def new_provider(self) -> ComfyUIProvider:
        return ComfyUIProvider(self._http, ComfyUISettings(base_url=self.adapter.url), self.adapter.inputs)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeService]:
        """Wait until the process listens."""
        service = FakeService(self.publisher)
        database = self.others | {"attempts": self.attempts}
        process = Process(self.provider, RARELY, cast(Database, database), service.service)
        task = asyncio.create_task(process.run())
        await until(lambda: self.listens)
        yield service
        service.stop()
        await task

    @property
    def listens(self) -> bool:
        return self.provider.is_streamed({"id": "x", "client_id": self.provider._client_id})

    def state(self, command: RenderRequested) -> str:
        return str(self.attempts.kept[command.attempt_id]["state"])

    async def ended(self, count: int = 1) -> None:
        await until(lambda: len(self.publisher.said(RenderSucceeded)) == count)


@pytest.fixture
async def harness() -> AsyncIterator[ProcessHarness]:
    async with an_adapter_harness("comfyui", latency_seconds=0.05) as adapter, quick_client(5.0) as http:
        yield ProcessHarness(adapter, http)


async def test_the_end_of_a_prompt_makes_the_next_poll_come_at_once(harness: ProcessHarness) -> None:
    async with harness.running() as service:
        await service.deliver(*(a_command(provider="comfyui") for _ in range(3)))
        await harness.ended(3)


@pytest.mark.parametrize("fault", ["fail", "oom"])
async def test_a_hint_of_a_failure_makes_the_next_poll_immediate(harness: ProcessHarness, fault: str) -> None:
    await harness.adapter.behave(next_faults=[fault])
    async with harness.running() as service:
        command = a_command(provider="comfyui")
        await service.deliver(command)
        await until(lambda: harness.state(command) == "failed")


async def test_progress_follows_the_steps_of_the_sampler_and_never_falls(harness: ProcessHarness) -> None:
    await harness.adapter.behave(latency_seconds=1.3)
    async with harness.running() as service:
        await service.deliver(a_command(provider="comfyui"))
        await harness.ended()
    percents = [each.percent for each in harness.publisher.said(RenderProgressed) if each.percent is not None]
    assert 1 <= len(percents) <= 3, "at most two a second"
    assert percents == sorted(set(percents))
    assert all(0 < percent <= 100 for percent in percents)


async def test_a_lost_socket_is_opened_again_and_what_ended_meanwhile_is_noticed(
    harness: ProcessHarness,
) -> None:
    await harness.adapter.behave(latency_seconds=0.2)
    async with harness.running() as service:
        command = a_command(provider="comfyui")
        await service.deliver(command)
        while not await harness.adapter.submission_log():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # by now its answer is read
        await harness.adapter.forget()  # the server restarts and knows nothing of it
        await until(lambda: harness.state(command) == "failed")
        await until(lambda: harness.listens)
        await service.deliver(a_command(provider="comfyui"))
        await harness.ended()


async def test_two_clients_receive_hints_about_their_own_prompts_only(harness: ProcessHarness) -> None:
    one, two = harness.new_provider(), harness.new_provider()
    request, others = an_attempt_request("comfyui"), an_attempt_request("comfyui")
    async with heard_by(one) as to_one, heard_by(two) as to_two:
        ref = await one.submit(request, await one.prepare(request))
        assert one.is_streamed(ref)
        assert not two.is_streamed(ref)
        assert not one.is_streamed({"id": request.idempotency_key}), (
            "it was found, not submitted under our name"
        )
        await two.submit(others, await two.prepare(others))
        await until(
            lambda: (
                ProgressHint(request.idempotency_key) in to_one
                and ProgressHint(others.idempotency_key) in to_two
            )
        )
    assert {hint.id for hint in to_one} == {request.idempotency_key}
    assert {hint.id for hint in to_two} == {others.idempotency_key}
    assert not one.is_streamed(ref), "nobody listens any more"


@asynccontextmanager
async def heard_by(provider: ComfyUIProvider) -> AsyncIterator[list[ProgressHint]]:
    requests: list[ProgressHint] = []

    async def listen() -> None:
        async with aclosing(provider.progress_hints()) as progress_hints:
            async for hint in progress_hints:
                requests.append(hint)  # noqa: PERF401

    async with background(listen):
        await until(lambda: provider._socket.is_open)
        yield requests


@asynccontextmanager
async def scripted(*connections: list[Any]) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that sends one list of messages for each connection, and then nothing."""
    paths: list[str] = []
    left = list(connections)

    async def speak(socket: ServerConnection) -> None:
        assert socket.request is not None
        paths.append(socket.request.path)
        for message in left.pop(0) if left else []:
            await socket.send(message if isinstance(message, str | bytes) else json.dumps(message))
        await socket.wait_closed()
        paths.append("closed")

    async with serve(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/comfy", paths


def said(kind: str, **data: Any) -> dict[str, Any]:
    return {"type": kind, "data": data}


async def test_other_messages_are_ignored() -> None:
    messages: list[Any] = [
        b"\x00\x00\x00\x01preview",
        "no json",
        "[" * 100_000,
        "7",
        "[]",
        {"type": "status"},
        {"type": "executing", "data": 7},
        said("executing", node="5"),
        said("executing", node=None),
        said("execution_success", prompt_id=7),
        said("progress", prompt_id="p", value=float("nan"), max=20, node="1"),
        said("progress", prompt_id="p", value="x", max=None, node="1"),
        said("progress_state", prompt_id="p", nodes=[7]),
        said("executing", node="5", prompt_id="p"),
        said("execution_interrupted", prompt_id="p"),
    ]
    async with scripted(messages) as (url, paths):
        socket = Socket(url, "our client", silence=0.05)
        socket.steps.expect("p", GRAPH)
        requests = [hint async for hint in socket.progress_hints()]
        assert requests[-1] == ProgressHint("p")
        assert {hint.percent for hint in requests[:-1]} <= {0}
        assert paths[0] == "/comfy/ws?clientId=our%20client"


async def test_a_silent_socket_is_closed_before_the_next_opens() -> None:
    async with scripted([], []) as (url, paths):
        socket = Socket(url, "c", silence=0.02)
        for _ in range(2):
            assert [hint async for hint in socket.progress_hints()] == []
            assert not socket.is_open
        await until(lambda: paths.count("closed") == 2)
    assert paths == ["/comfy/ws?clientId=c", "closed"] * 2


async def test_a_server_without_a_websocket_gives_no_answer() -> None:
    socket = Socket("http://127.0.0.1:1", "c")
    with pytest.raises(StatusUnavailable):
        await anext(socket.progress_hints())


def test_percent_is_of_all_samplers_and_of_nothing_else() -> None:
    steps = Steps()
    steps.expect("p", GRAPH)

    def progress(node: str, value: Any, most: Any) -> int | None:
        return steps.percent("p", "progress", {"node": node, "value": value, "max": most})

    assert progress("1", 5, 20) == 12
    assert progress("4", 3, 4) == 12, "decoding is not sampling"
    assert progress("1", 20, 20) == 50
    nodes = {"2": {"value": 10, "max": 20, "state": "running"}, "3": {"value": 1, "max": 1}}
    assert steps.percent("p", "progress_state", {"nodes": nodes}) == 75
    assert progress("2", 99, 20) == 100
    assert steps.percent("of others", "progress", {"node": "1", "value": 1, "max": 2}) is None
