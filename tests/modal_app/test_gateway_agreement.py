"""One contract: the gateway's adapter, unchanged, against the routes of the application and the simulator."""

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
from services.gateways.kit.provider import (
    AttemptRequest,
    AttemptStatus,
    Completed,
    Failed,
    InProgress,
    NotFound,
    OutcomeUnknown,
    Rejected,
    StatusUnavailable,
    SubmissionRef,
)
from services.gateways.modal.adapter import ModalProvider
from services.gateways.modal.settings import ModalSettings
from shared.clock import now
from shared.ids import uuid7
from tests.fakes.provider import FakeInputs, an_attempt_request
from tests.modal_app.fakes import AppHarness, a_training

URL = "http://acme--imagegen-web.modal.run"
HEADERS = {"Modal-Key": "wk-1", "Modal-Secret": "ws-1"}
SECONDS = 0.03
PICTURE = f"{uuid7()}/0"


@dataclass
class Side:
    """One of the two implementations of the contract."""

    http: httpx.AsyncClient
    provider: ModalProvider

    async def submit(self, request: AttemptRequest) -> SubmissionRef:
        return await self.provider.submit(request, await self.provider.prepare(request))

    async def end(self, request: AttemptRequest, ref: SubmissionRef) -> AttemptStatus:
        async with asyncio.timeout(5):
            while isinstance(status := await self.provider.poll(request, ref), InProgress):
                await asyncio.sleep(0.005)
        return status


@pytest.fixture(params=["app", "simulator"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Side]:
    harness = AppHarness(tmp_path)
    harness.calls.seconds = SECONDS
    known = Behaviour(latency_seconds=SECONDS, tiny=True, concurrency=8)
    app = harness.api() if request.param == "app" else simulator.create_app(known)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        settings = ModalSettings(base_url=URL, key=SecretStr("wk-1"), secret=SecretStr("ws-1"))
        yield Side(http, ModalProvider(http, settings, FakeInputs(images={PICTURE: b"png"})))
        await http.post(f"{URL}/_sim/forget")
    await asyncio.gather(*harness.calls.tasks.values(), return_exceptions=True)


async def test_a_submission_ends_completed_with_files_by_path(side: Side) -> None:
    request = an_attempt_request("modal", seed=5)
    status = await side.end(request, await side.submit(request))
    assert isinstance(status, Completed)
    [output] = status.outputs
    assert (status.seed, output.content_type, output.nsfw) == (5, "image/png", False)
    assert status.seconds is not None
    assert output.path is not None
    file = await side.http.get(URL + output.path, headers=HEADERS)
    assert file.headers["content-type"] == "image/png"
    assert file.content.startswith(b"\x89PNG")
    missing = await side.http.get(f"{URL}{output.path}x", headers=HEADERS)
    assert missing.status_code == 404


async def test_the_same_request_is_one_call_at_once_and_later(side: Side) -> None:
    request = an_attempt_request("modal")
    refs = await asyncio.gather(*(side.submit(request) for _ in range(5)))
    await side.end(request, refs[0])
    assert {ref["id"] for ref in [*refs, await side.submit(request)]} == {refs[0]["id"]}
    assert await side.submit(an_attempt_request("modal")) != refs[0]


async def test_a_request_is_found_by_its_idempotency_key_or_certainly_was_not_accepted(side: Side) -> None:
    request = an_attempt_request("modal")
    assert await side.provider.find(request) is None
    ref = await side.submit(request)
    assert await side.provider.find(request) == ref
    await side.end(request, ref)
    assert await side.provider.find(request) == ref


async def test_a_running_call_reports_its_percent(side: Side) -> None:
    request = an_attempt_request("modal")
    ref = await side.submit(request)
    async with asyncio.timeout(2):
        while (status := await side.provider.poll(request, ref)) == InProgress("queued"):
            await asyncio.sleep(0)
    assert isinstance(status, InProgress)
    assert (status.state, status.percent is not None) == ("running", True)


async def test_a_cancelled_call_is_failed_and_billed_if_it_ran(side: Side) -> None:
    request = an_attempt_request("modal")
    ref = await side.submit(request)
    async with asyncio.timeout(2):
        while await side.provider.poll(request, ref) == InProgress("queued"):
            await asyncio.sleep(0)
    await side.provider.cancel(request, ref)
    status = await side.end(request, ref)
    assert status == Failed("cancelled", "the call was cancelled at Modal", False, "yes")
    await side.provider.cancel(request, ref)


async def test_a_call_is_listed_until_it_has_ended(side: Side) -> None:
    orders = [an_attempt_request("modal") for _ in range(2)]
    refs = [await side.submit(request) for request in orders]
    assert await side.provider.unfinished() == {request.idempotency_key for request in orders}
    for request, ref in zip(orders, refs, strict=True):
        await side.end(request, ref)
    assert await side.provider.unfinished() == frozenset()


async def test_a_cancel_after_the_end_changes_nothing(side: Side) -> None:
    request = an_attempt_request("modal")
    ref = await side.submit(request)
    status = await side.end(request, ref)
    await side.provider.cancel(request, ref)
    assert await side.end(request, ref) == status


@pytest.mark.parametrize(("word", "retryable"), [("[fail]", False), ("[oom]", True)])
async def test_a_failed_call_is_failed_and_billed(side: Side, word: str, retryable: bool) -> None:
    request = an_attempt_request("modal", prompt=word)
    status = await side.end(request, await side.submit(request))
    assert isinstance(status, Failed)
    assert (status.code, status.retryable, status.billed) == ("provider_error", retryable, "yes")


async def test_a_call_whose_deadline_passed_in_the_queue_is_not_drawn(side: Side) -> None:
    request = an_attempt_request("modal", deadline_at=now() - timedelta(seconds=1))
    status = await side.end(request, await side.submit(request))
    assert isinstance(status, Failed)
    assert (status.code, status.retryable, status.billed) == ("deadline_exceeded", False, "no")


async def test_a_flag_arrives_with_its_output(side: Side) -> None:
    request = an_attempt_request("modal", prompt="x [nsfw]")
    status = await side.end(request, await side.submit(request))
    assert isinstance(status, Completed)
    assert status.outputs[0].nsfw


@pytest.mark.parametrize("call_id", ["fc-UNKNOWN", "none", "fc-.."])
async def test_an_unknown_call_is_not_found(side: Side, call_id: str) -> None:
    request = an_attempt_request("modal")
    status = await side.provider.poll(request, {"id": call_id})
    assert status == NotFound("Modal no longer knows this call")
    await side.provider.cancel(request, {"id": call_id})


async def test_a_malformed_request_is_rejected(side: Side) -> None:
    request = an_attempt_request("modal")
    payload = await side.provider.prepare(request)
    with pytest.raises(Rejected):
        await side.provider.submit(request, payload | {"input": {"prompt": "no size"}})
    assert await side.provider.find(request) is None


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


async def test_a_training_request_ends_with_weights_of_the_reported_hash(side: Side) -> None:
    request = an_attempt_request(
        "modal",
        kind="lora_training",
        prompt="mia7",
        training_images=(PICTURE,),
        captions=("smiling",),
        steps=3,
    )
    status = await side.end(request, await side.submit(request))
    assert isinstance(status, Completed)
    [weights] = status.outputs
    assert (weights.role, status.steps, bool(status.base_model)) == ("weights", 3, True)
    file = await side.http.get(f"{URL}{weights.path}", headers=HEADERS)
    assert hashlib.sha256(file.content).hexdigest() == weights.sha256


async def test_a_busy_app_leaves_the_outcome_unknown(tmp_path: Path) -> None:
    """A 503 means neither an end nor an absence."""
    harness = AppHarness(tmp_path)
    harness.die_at("get", "run/")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(harness.api())) as http:
        settings = ModalSettings(base_url=URL, key=SecretStr("wk-1"), secret=SecretStr("ws-1"))
        provider, request = ModalProvider(http, settings, FakeInputs()), an_attempt_request("modal")
        with pytest.raises(StatusUnavailable):
            await provider.find(request)
        harness.die_at("get", "run/")
        with pytest.raises(OutcomeUnknown):
            await provider.submit(request, await provider.prepare(request))
