"""ComfyUI's websocket: hints make polls come at once or rarely, and never decide anything."""

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
from services.gateways.comfyui.hints import Socket, Steps
from services.gateways.comfyui.settings import ComfyUISettings
from services.gateways.runtime.app import Process
from services.gateways.runtime.provider import Hint, NoAnswer, Pace
from shared.mongo import Database
from tests.fakes.adapters import Rig, a_rig, quick_client
from tests.fakes.mongo import FakeCollection
from tests.fakes.provider import a_command, an_order
from tests.fakes.publisher import FakePublisher
from tests.fakes.service import FakeService
from tests.fakes.waiting import background, until

RARELY = Pace(slots=20, first_poll=60.0, slowest_poll=60.0, slowest_poll_with_hints=60.0, submit_timeout=5.0)
GRAPH = {
    "1": {"class_type": "KSampler"},
    "2": {"class_type": "SamplerCustomAdvanced"},
    "3": {"class_type": "KSamplerSelect"},
    "4": {"class_type": "VAEDecodeTiled"},
}


class House:
    """Processes of the ComfyUI gateway around one simulator."""

    def __init__(self, rig: Rig, http: httpx.AsyncClient) -> None:
        self.rig = rig
        self._http = http
        self.attempts = FakeCollection()
        self.publisher = FakePublisher("gateway-comfyui")
        names = ("provider_health", "gateway_shares", "gateway_leases")
        self.others = {name: FakeCollection() for name in names}
        self.provider = self.new_provider()

    def new_provider(self) -> ComfyUIProvider:
        return ComfyUIProvider(self._http, ComfyUISettings(base_url=self.rig.url), self.rig.inputs)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeService]:
        """Once it listens."""
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
        return self.provider.hints_about({"id": "x", "client_id": self.provider._client_id})

    def state(self, command: RenderRequested) -> str:
        return str(self.attempts.kept[command.attempt_id]["state"])

    async def ended(self, count: int = 1) -> None:
        await until(lambda: len(self.publisher.said(RenderSucceeded)) == count)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with a_rig("comfyui", latency_seconds=0.05) as rig, quick_client(5.0) as http:
        yield House(rig, http)


async def test_the_end_of_a_prompt_makes_the_next_poll_come_at_once(house: House) -> None:
    async with house.running() as service:
        await service.deliver(*(a_command(provider="comfyui") for _ in range(3)))
        await house.ended(3)


@pytest.mark.parametrize("fault", ["fail", "oom"])
async def test_so_does_a_failure(house: House, fault: str) -> None:
    await house.rig.behave(next_faults=[fault])
    async with house.running() as service:
        command = a_command(provider="comfyui")
        await service.deliver(command)
        await until(lambda: house.state(command) == "failed")


async def test_the_steps_of_the_sampler_are_told_and_never_backwards(house: House) -> None:
    await house.rig.behave(latency_seconds=1.3)
    async with house.running() as service:
        await service.deliver(a_command(provider="comfyui"))
        await house.ended()
    percents = [each.percent for each in house.publisher.said(RenderProgressed) if each.percent is not None]
    assert 1 <= len(percents) <= 3, "at most two a second"
    assert percents == sorted(set(percents))
    assert all(0 < percent <= 100 for percent in percents)


async def test_a_lost_socket_is_opened_again_and_what_ended_meanwhile_is_noticed(house: House) -> None:
    await house.rig.behave(latency_seconds=0.2)
    async with house.running() as service:
        command = a_command(provider="comfyui")
        await service.deliver(command)
        while not await house.rig.submission_log():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # by now its answer is read
        await house.rig.forget()  # the server restarts and knows nothing of it
        await until(lambda: house.state(command) == "failed")
        await until(lambda: house.listens)
        await service.deliver(a_command(provider="comfyui"))
        await house.ended()


async def test_two_clients_hear_of_their_own_prompts_only(house: House) -> None:
    one, two = house.new_provider(), house.new_provider()
    order, others = an_order("comfyui"), an_order("comfyui")
    async with heard_by(one) as to_one, heard_by(two) as to_two:
        handle = await one.submit(order, await one.prepare(order))
        assert one.hints_about(handle)
        assert not two.hints_about(handle)
        assert not one.hints_about({"id": order.uuid}), "it was found, not submitted under our name"
        await two.submit(others, await two.prepare(others))
        await until(lambda: Hint(order.uuid) in to_one and Hint(others.uuid) in to_two)
    assert {hint.id for hint in to_one} == {order.uuid}
    assert {hint.id for hint in to_two} == {others.uuid}
    assert not one.hints_about(handle), "nobody listens any more"


@asynccontextmanager
async def heard_by(provider: ComfyUIProvider) -> AsyncIterator[list[Hint]]:
    heard: list[Hint] = []

    async def listen() -> None:
        async with aclosing(provider.hints()) as hints:
            async for hint in hints:
                heard.append(hint)  # noqa: PERF401

    async with background(listen):
        await until(lambda: provider._socket.is_open)
        yield heard


@asynccontextmanager
async def scripted(*connections: list[Any]) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that says these, one list for each connection, and then nothing."""
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


async def test_what_is_no_hint_is_passed_over() -> None:
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
        heard = [hint async for hint in socket.hints()]
        assert heard[-1] == Hint("p")
        assert {hint.percent for hint in heard[:-1]} <= {0}
        assert paths[0] == "/comfy/ws?clientId=our%20client"


async def test_a_silent_socket_is_closed_before_the_next_opens() -> None:
    async with scripted([], []) as (url, paths):
        socket = Socket(url, "c", silence=0.02)
        for _ in range(2):
            assert [hint async for hint in socket.hints()] == []
            assert not socket.is_open
        await until(lambda: paths.count("closed") == 2)
    assert paths == ["/comfy/ws?clientId=c", "closed"] * 2


async def test_a_server_without_a_websocket_gives_no_answer() -> None:
    socket = Socket("http://127.0.0.1:1", "c")
    with pytest.raises(NoAnswer):
        await anext(socket.hints())


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
