"""Reports of a success: the seed that was used, and the outputs that are not delivered."""

from dataclasses import replace
from typing import Any

import pytest

from contracts.renders import Output, RenderSucceeded
from services.gateways.kit.workflows import callers_graph
from tests.fakes.ledger import GatewayHarness
from tests.fakes.provider import DONE, OUTPUT, a_command, an_attempt_request
from tests.unit.workflow_graphs import drawing


async def succeeded(harness: GatewayHarness, done: Any, **fields: Any) -> RenderSucceeded:
    harness.provider.statuses = [done]
    await harness.finish(await harness.accept(a_command(**fields)))
    [success] = harness.publisher.said(RenderSucceeded)
    return success


async def test_further_images_of_a_run_are_named_and_counted(harness: GatewayHarness) -> None:
    dropped = tuple(Output(path=f"/view?filename={n}.png") for n in range(150))
    success = await succeeded(harness, replace(DONE, dropped=dropped), workflow=drawing())
    assert success.outputs == (OUTPUT,)
    assert success.dropped == dropped[:100]
    [notice] = success.notices
    assert (notice.code, notice.images) == ("outputs_dropped", (0,))
    assert "150 more images" in notice.message
    assert "count" in notice.message, "it says what to do instead"


async def test_several_images_of_a_model_are_counted_too(harness: GatewayHarness) -> None:
    success = await succeeded(harness, replace(DONE, outputs=(OUTPUT, OUTPUT)))
    assert [notice.code for notice in success.notices] == ["outputs_dropped"]


async def test_one_image_needs_no_notice(harness: GatewayHarness) -> None:
    assert (await succeeded(harness, DONE, workflow=drawing())).notices == ()


@pytest.mark.parametrize(("seed", "told"), [("{{seed}}", 11), (42, 42), (["9", 0], None)])
async def test_the_seed_of_a_workflow_is_the_one_that_its_graph_uses(
    harness: GatewayHarness, seed: Any, told: int | None
) -> None:
    success = await succeeded(harness, replace(DONE, seed=7), workflow=drawing(seed=seed))
    assert success.seed == told


def test_a_prefix_without_a_placeholder_gets_the_requests_id() -> None:
    orders = [an_attempt_request("comfyui", workflow=drawing(prefix="shots/mine")) for _ in range(2)]
    prefixes = [callers_graph(request)["7"]["inputs"]["filename_prefix"] for request in orders]
    assert prefixes == [f"shots/mine-{request.idempotency_key[:8]}" for request in orders]
    assert orders[0].workflow == drawing(prefix="shots/mine"), "the order itself is not changed"


@pytest.mark.parametrize(
    ("prefix", "begins"),
    [("{{seed}}", "11"), ("{{width}}", "64"), ("{{height}}", "64"), ("a{{seed}}", "a11")],
)
def test_a_numeric_prefix_gets_the_requests_id_too(prefix: str, begins: str) -> None:
    request = an_attempt_request("comfyui", workflow=drawing(prefix=prefix), seed=11, width=64, height=64)
    assert (
        callers_graph(request)["7"]["inputs"]["filename_prefix"] == f"{begins}-{request.idempotency_key[:8]}"
    )


@pytest.mark.parametrize("prefix", ["{{prefix}}", "mine/{{prefix}}", ["9", 0]])
def test_a_prefix_with_our_hole_or_a_link_is_left_as_it_is(prefix: Any) -> None:
    request = an_attempt_request("comfyui", workflow=drawing(prefix=prefix))
    filled = callers_graph(request)["7"]["inputs"]["filename_prefix"]
    unfilled = (
        prefix.replace("{{prefix}}", f"imagegen/{request.idempotency_key}")
        if isinstance(prefix, str)
        else prefix
    )
    assert filled == unfilled
