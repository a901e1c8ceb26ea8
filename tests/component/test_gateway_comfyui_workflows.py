"""Callers' workflows at a ComfyUI server: the result, batches, seeds, and the server's cache."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateways.runtime.provider import Broken, Done, News, Refused
from tests.fakes.adapters import Rig, a_rig
from tests.fakes.provider import an_order
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
async def rig() -> AsyncIterator[Rig]:
    async with a_rig("comfyui", tiny=False, latency_seconds=0.0) as made:
        yield made


async def run(rig: Rig, workflow: Graph, **fields: Any) -> News:
    order = an_order("comfyui", workflow=workflow, **fields)
    return await rig.end(order, await rig.submit(order))


def names(outputs: Any) -> list[str]:
    return [parse_qs(output.path.partition("?")[2])["filename"][0].partition("-")[0] for output in outputs]


async def test_the_final_picture_is_delivered_and_the_draft_is_dropped(rig: Rig) -> None:
    news = await run(rig, draft_and_final())
    assert isinstance(news, Done)
    assert (names(news.outputs), names(news.dropped)) == (["final"], ["draft"])


async def test_of_a_batch_one_picture_is_delivered_and_the_others_are_dropped(rig: Rig) -> None:
    news = await run(rig, drawing(batch_size=4))
    assert isinstance(news, Done)
    assert (len(news.outputs), len(news.dropped)) == (1, 3)


async def test_each_run_saves_a_file_of_its_own_though_the_rest_comes_from_the_cache(rig: Rig) -> None:
    first, second = [await run(rig, drawing(seed=42)) for _ in range(2)]
    assert isinstance(first, Done)
    assert isinstance(second, Done)
    assert first.outputs != second.outputs
    pictures = [await rig.http.get(news.outputs[0].path or "") for news in (first, second)]
    assert all(picture.status_code == 200 for picture in pictures)


async def test_after_the_output_folder_was_emptied_the_same_workflow_runs_as_before() -> None:
    emptied = Emptied()
    async with a_rig("comfyui", wrap=emptied.wrap) as rig:
        before = await run(rig, drawing(seed=42))
        assert isinstance(before, Done)
        assert (await rig.http.get(before.outputs[0].path or "")).status_code == 200
        emptied.empty()
        after = await run(rig, drawing(seed=42))
        assert isinstance(after, Done)
        assert (await rig.http.get(after.outputs[0].path or "")).status_code == 200


async def test_a_cached_file_that_is_gone_fails_for_good_and_says_how_to_mend_it() -> None:
    """Only where the workflow's own way of saving has no prefix that could be changed."""
    emptied = Emptied()
    linked = drawing(seed=42, prefix=["9", 0]) | {
        "9": {"class_type": "PrimitiveString", "inputs": {"value": "mine"}}
    }
    async with a_rig("comfyui", wrap=emptied.wrap) as rig:
        assert isinstance(before := await run(rig, linked), Done)
        assert isinstance(await run(rig, linked), Done), "the file is still there"
        assert (await rig.http.get(before.outputs[0].path or "")).status_code == 200
        emptied.empty()
        news = await run(rig, linked)
    assert isinstance(news, Broken)
    assert (news.code, news.retryable) == ("cached_file_gone", False)
    assert "{{prefix}}" in news.message


@pytest.mark.parametrize("status", [400, 413, 500])
async def test_a_refused_workflow_has_one_code_and_one_wording(status: int) -> None:
    def refuse(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope.get("path") == "/prompt":
                return await Response("no such workflow", status)(scope, receive, send)
            return await app(scope, receive, send)

        return answer

    async with a_rig("comfyui", wrap=refuse) as rig:
        with pytest.raises(Refused) as raised:
            await rig.submit(an_order("comfyui", workflow=drawing()))
    assert raised.value.code == "invalid_workflow"
    assert raised.value.message.startswith("the server refused the workflow: ")
    assert str(status) not in raised.value.message


async def test_a_workflow_of_which_a_part_is_refused_is_refused_in_the_same_words(rig: Rig) -> None:
    broken = drawing() | {"8": {"class_type": "SaveImage", "inputs": {"images": ["6", 0]}}}
    news = await run(rig, broken)
    assert isinstance(news, Broken)
    assert news.code == "invalid_workflow"
    assert news.message.startswith("the server refused the workflow: node 8 (SaveImage)")
