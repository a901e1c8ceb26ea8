"""Our gateway's adapter, unchanged, against the app's routes and against the simulator: one contract."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from contracts.modal_app import ModalResult
from deploy.simulators import modal as simulator
from deploy.simulators.behaviour import Behaviour
from services.gateways.modal.adapter import ModalProvider
from services.gateways.modal.settings import ModalSettings
from services.gateways.runtime.provider import (
    Broken,
    Done,
    Handle,
    Missing,
    News,
    NoAnswer,
    Order,
    OutcomeUnknown,
    Refused,
    Working,
)
from shared.clock import now
from shared.ids import uuid7
from tests.fakes.provider import FakeInputs, an_order
from tests.modal_app.fakes import Bench, a_training

URL = "http://acme--imagegen-web.modal.run"
HEADERS = {"Modal-Key": "wk-1", "Modal-Secret": "ws-1"}
SECONDS = 0.03
PICTURE = f"{uuid7()}/0"


@dataclass
class Side:
    """One of the two that must agree."""

    http: httpx.AsyncClient
    provider: ModalProvider

    async def submit(self, order: Order) -> Handle:
        return await self.provider.submit(order, await self.provider.prepare(order))

    async def end(self, order: Order, handle: Handle) -> News:
        async with asyncio.timeout(5):
            while isinstance(news := await self.provider.poll(order, handle), Working):
                await asyncio.sleep(0.005)
        return news


@pytest.fixture(params=["app", "simulator"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Side]:
    bench = Bench(tmp_path)
    bench.calls.seconds = SECONDS
    known = Behaviour(latency_seconds=SECONDS, tiny=True, concurrency=8)
    app = bench.api() if request.param == "app" else simulator.create_app(known)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        settings = ModalSettings(base_url=URL, key=SecretStr("wk-1"), secret=SecretStr("ws-1"))
        yield Side(http, ModalProvider(http, settings, FakeInputs(images={PICTURE: b"png"})))
        await http.post(f"{URL}/_sim/forget")
    await asyncio.gather(*bench.calls.tasks.values(), return_exceptions=True)


async def test_a_submission_ends_done_with_files_by_path(side: Side) -> None:
    order = an_order("modal", seed=5)
    news = await side.end(order, await side.submit(order))
    assert isinstance(news, Done)
    [output] = news.outputs
    assert (news.seed, output.content_type, output.nsfw) == (5, "image/png", False)
    assert news.seconds is not None
    assert output.path is not None
    file = await side.http.get(URL + output.path, headers=HEADERS)
    assert file.headers["content-type"] == "image/png"
    assert file.content.startswith(b"\x89PNG")
    missing = await side.http.get(f"{URL}{output.path}x", headers=HEADERS)
    assert missing.status_code == 404


async def test_the_same_order_is_one_call_at_once_and_later(side: Side) -> None:
    order = an_order("modal")
    handles = await asyncio.gather(*(side.submit(order) for _ in range(5)))
    await side.end(order, handles[0])
    assert {handle["id"] for handle in [*handles, await side.submit(order)]} == {handles[0]["id"]}
    assert await side.submit(an_order("modal")) != handles[0]


async def test_an_order_is_found_by_our_id_or_surely_was_not_taken(side: Side) -> None:
    order = an_order("modal")
    assert await side.provider.find(order) is None
    handle = await side.submit(order)
    assert await side.provider.find(order) == handle
    await side.end(order, handle)
    assert await side.provider.find(order) == handle


async def test_a_running_call_tells_its_percent(side: Side) -> None:
    order = an_order("modal")
    handle = await side.submit(order)
    async with asyncio.timeout(2):
        while (news := await side.provider.poll(order, handle)) == Working("queued"):
            await asyncio.sleep(0)
    assert isinstance(news, Working)
    assert (news.state, news.percent is not None) == ("running", True)


async def test_a_cancelled_call_is_broken_and_billed_if_it_ran(side: Side) -> None:
    order = an_order("modal")
    handle = await side.submit(order)
    async with asyncio.timeout(2):
        while await side.provider.poll(order, handle) == Working("queued"):
            await asyncio.sleep(0)
    await side.provider.cancel(order, handle)
    news = await side.end(order, handle)
    assert news == Broken("cancelled", "the call was cancelled at Modal", False, "yes")
    await side.provider.cancel(order, handle)


async def test_a_call_is_listed_until_it_has_ended(side: Side) -> None:
    orders = [an_order("modal") for _ in range(2)]
    handles = [await side.submit(order) for order in orders]
    assert await side.provider.unfinished() == {order.uuid for order in orders}
    for order, handle in zip(orders, handles, strict=True):
        await side.end(order, handle)
    assert await side.provider.unfinished() == frozenset()


async def test_a_cancel_that_comes_too_late_changes_nothing(side: Side) -> None:
    order = an_order("modal")
    handle = await side.submit(order)
    news = await side.end(order, handle)
    await side.provider.cancel(order, handle)
    assert await side.end(order, handle) == news


@pytest.mark.parametrize(("word", "retryable"), [("[fail]", False), ("[oom]", True)])
async def test_a_failed_call_is_broken_and_billed(side: Side, word: str, retryable: bool) -> None:
    order = an_order("modal", prompt=word)
    news = await side.end(order, await side.submit(order))
    assert isinstance(news, Broken)
    assert (news.code, news.retryable, news.billed) == ("provider_error", retryable, "yes")


async def test_what_gets_its_turn_after_its_deadline_is_not_drawn(side: Side) -> None:
    order = an_order("modal", deadline_at=now() - timedelta(seconds=1))
    news = await side.end(order, await side.submit(order))
    assert isinstance(news, Broken)
    assert (news.code, news.retryable, news.billed) == ("deadline_exceeded", False, "no")


async def test_a_flag_arrives_with_its_output(side: Side) -> None:
    order = an_order("modal", prompt="x [nsfw]")
    news = await side.end(order, await side.submit(order))
    assert isinstance(news, Done)
    assert news.outputs[0].nsfw


@pytest.mark.parametrize("call_id", ["fc-UNKNOWN", "none", "fc-.."])
async def test_a_call_that_nobody_knows_is_missing(side: Side, call_id: str) -> None:
    order = an_order("modal")
    news = await side.provider.poll(order, {"id": call_id})
    assert news == Missing("Modal no longer knows this call")
    await side.provider.cancel(order, {"id": call_id})


async def test_an_order_that_cannot_be_read_is_refused(side: Side) -> None:
    order = an_order("modal")
    payload = await side.provider.prepare(order)
    with pytest.raises(Refused):
        await side.provider.submit(order, payload | {"input": {"prompt": "no size"}})
    assert await side.provider.find(order) is None


async def test_a_training_ends_with_a_lora_and_a_manifest_that_fits_it(side: Side) -> None:
    body: dict[str, Any] = a_training(images=[{"url": "data:,one"}])
    submitted = await side.http.post(f"{URL}/submit", json=body, headers=HEADERS)
    path = f"{URL}/result/{submitted.json()['call_id']}"
    async with asyncio.timeout(2):
        while (answer := await side.http.get(path, headers=HEADERS)).status_code == 202:
            await asyncio.sleep(0.005)
    result = ModalResult.model_validate_json(answer.content)
    assert result.manifest is not None
    file = await side.http.get(URL + result.manifest.path, headers=HEADERS)
    assert file.headers["content-type"] == result.outputs[0].content_type == "application/octet-stream"
    assert len(file.content) == result.manifest.bytes


async def test_an_order_to_train_ends_done_with_weights_of_the_hash_that_was_told(side: Side) -> None:
    order = an_order(
        "modal",
        kind="lora_training",
        prompt="mia7",
        training_images=(PICTURE,),
        captions=("smiling",),
        steps=3,
    )
    news = await side.end(order, await side.submit(order))
    assert isinstance(news, Done)
    [weights] = news.outputs
    assert (weights.role, news.steps, bool(news.base_model)) == ("weights", 3, True)
    file = await side.http.get(f"{URL}{weights.path}", headers=HEADERS)
    assert hashlib.sha256(file.content).hexdigest() == weights.sha256


async def test_a_busy_app_may_have_taken_it_and_is_no_proof_of_absence(tmp_path: Path) -> None:
    """503: the gateway must take it neither for an end nor for nothing."""
    bench = Bench(tmp_path)
    bench.die_at("get", "run/")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(bench.api())) as http:
        settings = ModalSettings(base_url=URL, key=SecretStr("wk-1"), secret=SecretStr("ws-1"))
        provider, order = ModalProvider(http, settings, FakeInputs()), an_order("modal")
        with pytest.raises(NoAnswer):
            await provider.find(order)
        bench.die_at("get", "run/")
        with pytest.raises(OutcomeUnknown):
            await provider.submit(order, await provider.prepare(order))
