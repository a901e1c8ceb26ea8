"""Renders on a real server, and the gateway's reports on them."""

import io

import httpx
import pytest
from PIL import Image

from contracts.renders import RenderFailed, RenderSucceeded
from tests.comfyui import graphs
from tests.comfyui.harness import ComfyuiHarness


async def test_a_render_succeeds_and_its_file_can_be_read(harness: ComfyuiHarness) -> None:
    end = await harness.run(graphs.plain())
    assert isinstance(end, RenderSucceeded), end
    picture = await harness.delivered(end)
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    assert Image.open(io.BytesIO(picture.content)).size == (64, 48)
    assert (end.seed, end.notices, end.dropped) == (None, (), ())


async def test_the_final_image_of_several_outputs_is_delivered(harness: ComfyuiHarness) -> None:
    end = await harness.run(graphs.two_pictures())
    assert isinstance(end, RenderSucceeded), end
    picture = await harness.delivered(end)
    assert Image.open(io.BytesIO(picture.content)).size == (96, 96)
    [dropped] = end.dropped
    assert "draft" in str(dropped.path), "the preview does not count"
    assert [notice.code for notice in end.notices] == ["outputs_dropped"]


async def test_one_image_of_a_batch_is_delivered_and_the_others_are_listed(harness: ComfyuiHarness) -> None:
    end = await harness.run(graphs.plain(batch_size=4))
    assert isinstance(end, RenderSucceeded), end
    assert (len(end.outputs), len(end.dropped)) == (1, 3)
    assert "3 more images" in end.notices[0].message


async def test_a_repeated_workflow_makes_its_own_file_with_the_same_image(harness: ComfyuiHarness) -> None:
    ends = [await harness.run(graphs.plain(colour=0x336699)) for _ in range(2)]
    pictures = [await harness.delivered(end) for end in ends]
    assert all(picture.status_code == 200 for picture in pictures)
    assert isinstance(ends[0], RenderSucceeded)
    assert isinstance(ends[1], RenderSucceeded)
    assert ends[0].outputs != ends[1].outputs
    first, second = (Image.open(io.BytesIO(picture.content)).tobytes() for picture in pictures)
    assert first == second


async def test_a_repeated_workflow_with_a_linked_prefix_is_answered_from_the_cache(
    harness: ComfyuiHarness, beside: httpx.AsyncClient
) -> None:
    if "PrimitiveString" not in (await beside.get("/object_info")).json():
        pytest.skip("the server has no node PrimitiveString")
    workflow = graphs.linked_prefix()
    ends = [await harness.run(workflow) for _ in range(2)]
    assert isinstance(ends[0], RenderSucceeded), ends[0]
    assert isinstance(ends[1], RenderSucceeded), ends[1]
    assert ends[0].outputs == ends[1].outputs, "the server ran nothing again"
    assert (await harness.delivered(ends[1])).status_code == 200


async def test_an_invalid_workflow_is_refused_with_the_node_and_costs_nothing(
    harness: ComfyuiHarness,
) -> None:
    end = await harness.run(graphs.invalid())
    assert isinstance(end, RenderFailed), end
    assert (end.code, end.retryable, end.billed) == ("invalid_workflow", False, "no")
    assert end.message.startswith("the server refused the workflow: node 1 (EmptyImage): Value 1000000000")


async def test_a_workflow_that_fails_while_it_runs_is_billed_and_not_retried(
    harness: ComfyuiHarness, beside: httpx.AsyncClient
) -> None:
    form = {"type": "input", "subfolder": "imagegen-test", "overwrite": "true"}
    text = {"image": ("no-picture.png", b"this is no picture", "image/png")}
    stored = (await beside.post("/upload/image", files=text, data=form)).json()
    end = await harness.run(graphs.unreadable(f"{stored['subfolder']}/{stored['name']}"))
    assert isinstance(end, RenderFailed), end
    assert (end.code, end.retryable, end.billed) == ("provider_error", False, "yes")
    assert end.message.startswith("LoadImage: ")
    assert "Traceback" not in end.message
