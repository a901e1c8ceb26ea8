"""Callers' workflows at a ComfyUI server: the result, batches, seeds, and the server's cache."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateways.kit.provider import AttemptStatus, Completed, Failed, Rejected
from tests.fakes.adapters import AdapterHarness, an_adapter_harness
from tests.fakes.provider import an_attempt_request
from tests.unit.workflow_graphs import Graph, draft_and_final, drawing


class Emptied:
    """A server whose output folder somebody empties; what is saved afterwards is there."""

    def __init__(self) -> None:
        self.gone: set[str] = set()
        self.seen: set[str] = set()

    def empty(self) -> None:
        self.gone |= self.seen

    def wrap(self, app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope.get("path") == "/view":
                name = parse_qs(scope["query_string"].decode())["filename"][0]
                self.seen.add(name)
                if name in self.gone:
                    return await Response(status_code=404)(scope, receive, send)
            return await app(scope, receive, send)

        return answer


@pytest.fixture
async def harness() -> AsyncIterator[AdapterHarness]:
    async with an_adapter_harness("comfyui", tiny=False, latency_seconds=0.0) as made:
        yield made


async def run(harness: AdapterHarness, workflow: Graph, **fields: Any) -> AttemptStatus:
    request = an_attempt_request("comfyui", workflow=workflow, **fields)
    return await harness.end(request, await harness.submit(request))


def names(outputs: Any) -> list[str]:
    return [parse_qs(output.path.partition("?")[2])["filename"][0].partition("-")[0] for output in outputs]


async def test_the_final_picture_is_delivered_and_the_draft_is_dropped(harness: AdapterHarness) -> None:
    status = await run(harness, draft_and_final())
    assert isinstance(status, Completed)
    assert (names(status.outputs), names(status.dropped)) == (["final"], ["draft"])


async def test_a_batch_delivers_one_image_and_drops_the_others(
    harness: AdapterHarness,
) -> None:
    status = await run(harness, drawing(batch_size=4))
    assert isinstance(status, Completed)
    assert (len(status.outputs), len(status.dropped)) == (1, 3)


async def test_each_run_saves_a_file_of_its_own_though_the_rest_comes_from_the_cache(
    harness: AdapterHarness,
) -> None:
    first, second = [await run(harness, drawing(seed=42)) for _ in range(2)]
    assert isinstance(first, Completed)
    assert isinstance(second, Completed)
    assert first.outputs != second.outputs
    pictures = [await harness.http.get(status.outputs[0].path or "") for status in (first, second)]
    assert all(picture.status_code == 200 for picture in pictures)


async def test_after_the_output_folder_was_emptied_the_same_workflow_runs_as_before() -> None:
    emptied = Emptied()
    async with an_adapter_harness("comfyui", wrap=emptied.wrap) as harness:
        before = await run(harness, drawing(seed=42))
        assert isinstance(before, Completed)
        assert (await harness.http.get(before.outputs[0].path or "")).status_code == 200
        emptied.empty()
        after = await run(harness, drawing(seed=42))
        assert isinstance(after, Completed)
        assert (await harness.http.get(after.outputs[0].path or "")).status_code == 200


async def test_a_missing_cached_file_fails_for_good_with_instructions() -> None:
    """Only where the workflow's own way of saving has no prefix that could be changed."""
    emptied = Emptied()
    linked = drawing(seed=42, prefix=["9", 0]) | {
        "9": {"class_type": "PrimitiveString", "inputs": {"value": "mine"}}
    }
    async with an_adapter_harness("comfyui", wrap=emptied.wrap) as harness:
        assert isinstance(before := await run(harness, linked), Completed)
        assert isinstance(await run(harness, linked), Completed), "the file is still there"
        assert (await harness.http.get(before.outputs[0].path or "")).status_code == 200
        emptied.empty()
        status = await run(harness, linked)
    assert isinstance(status, Failed)
    assert (status.code, status.retryable) == ("cached_file_gone", False)
    assert "{{prefix}}" in status.message


@pytest.mark.parametrize("status", [400, 413, 500])
async def test_a_rejected_workflow_has_one_code_and_one_text(status: int) -> None:
    def refuse(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope.get("path") == "/prompt":
                return await Response("no such workflow", status)(scope, receive, send)
            return await app(scope, receive, send)

        return answer

    async with an_adapter_harness("comfyui", wrap=refuse) as harness:
        with pytest.raises(Rejected) as raised:
            await harness.submit(an_attempt_request("comfyui", workflow=drawing()))
    assert raised.value.code == "invalid_workflow"
    assert raised.value.message.startswith("the server refused the workflow: ")
    assert str(status) not in raised.value.message


async def test_a_partly_rejected_workflow_has_the_same_code_and_text(
    harness: AdapterHarness,
) -> None:
    broken = drawing() | {"8": {"class_type": "SaveImage", "inputs": {"images": ["6", 0]}}}
    status = await run(harness, broken)
    assert isinstance(status, Failed)
    assert status.code == "invalid_workflow"
    assert status.message.startswith("the server refused the workflow: node 8 (SaveImage)")
