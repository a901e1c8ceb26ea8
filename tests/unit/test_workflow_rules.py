"""A caller's workflow: which of its pictures is the result, and which seed it uses."""

from typing import Any

import pytest

from contracts.workflows import depths, holes_of, result_of, seed_of
from tests.unit.workflow_graphs import Graph, draft_and_final, drawing, files, saving


def chosen(graph: Graph, outputs: dict[str, Any]) -> tuple[str, list[str]]:
    """The name of the result, and of what is dropped."""
    result = result_of(graph, outputs)
    assert result is not None
    return result.file["filename"], [file["filename"] for file in result.dropped]


@pytest.mark.parametrize("order", [("7", "11"), ("11", "7")])
def test_the_picture_at_the_end_of_the_longest_chain_is_the_result(order: tuple[str, ...]) -> None:
    saved = {"7": files("draft.png"), "11": files("final.png")}
    assert chosen(draft_and_final(), {node: saved[node] for node in order}) == ("final.png", ["draft.png"])


def test_a_node_titled_result_wins() -> None:
    graph = draft_and_final()
    graph["7"]["_meta"] = {"title": " Result "}
    assert chosen(graph, {"7": files("draft.png"), "11": files("final.png")})[0] == "draft.png"


def test_of_nodes_as_far_from_the_start_the_last_listed_is_the_result() -> None:
    graph = drawing() | {"8": saving("6", "second")}
    assert chosen(graph, {"8": files("second.png"), "7": files("first.png")}) == ("second.png", ["first.png"])


def test_of_a_batch_the_first_picture_is_the_result_and_the_others_are_dropped() -> None:
    assert chosen(drawing(), {"7": files("a.png", "b.png", "c.png")}) == ("a.png", ["b.png", "c.png"])


def test_previews_are_neither_the_result_nor_dropped() -> None:
    graph = drawing() | {"8": {"class_type": "PreviewImage", "inputs": {"images": ["6", 0]}}}
    assert chosen(graph, {"8": files("p.png", kind="temp"), "7": files("a.png")}) == ("a.png", [])
    assert result_of(graph, {"8": files("p.png", kind="temp")}) is None


@pytest.mark.parametrize(
    "output", [None, 1, "x", [], {}, {"images": None}, {"images": [1, {"type": "output"}, None]}]
)
def test_odd_outputs_and_graphs_break_nothing(output: Any) -> None:
    for graph in ({}, {"7": None}, {"7": {"inputs": 1}}, {"7": {"inputs": {"x": ["7", 0]}}}, drawing()):
        result_of(graph, {"7": output})
        seed_of(graph, 1)


def test_a_long_chain_and_a_cycle_are_no_trouble() -> None:
    chain = {str(n): {"inputs": {"image": [str(n - 1), 0]}} for n in range(20_000)}
    assert depths(chain)["19999"] == 19_999
    assert depths({"1": {"inputs": {"x": ["2", 0]}}, "2": {"inputs": {"x": ["1", 0]}}}) == {}


NUMBER = {"9": {"class_type": "PrimitiveInt", "inputs": {"value": 42}}}


@pytest.mark.parametrize(
    ("graph", "seed"),
    [
        (drawing(), 7),
        (drawing(seed=42), 42),
        (drawing(seed="42"), 42),
        (drawing(seed=0), 0),
        (drawing(seed=2**64 - 1), 2**64 - 1),
        (drawing(seed=-1), None),
        (drawing(seed=True), None),
        (drawing(seed=["9", 0]) | NUMBER, 42),
        (drawing(seed=["9", 0]), None),
        (drawing(seed=["9", 0]) | {"9": {"inputs": {"value": "{{seed}}"}}}, 7),
        (drawing(seed=42, prefix="x_{{seed}}"), 42),
        (drawing(seed=42) | {"8": {"inputs": {"noise_seed": 42}}}, 42),
        (drawing(seed=42) | {"8": {"inputs": {"noise_seed": 43}}}, None),
        (drawing() | {"8": {"inputs": {"noise_seed": 0}}}, 7),
        ({"1": {"inputs": {"image": "a.png"}}}, None),
    ],
)
def test_the_seed_is_ours_through_a_hole_else_the_only_one_of_the_graph(
    graph: Graph, seed: int | None
) -> None:
    assert seed_of(graph, 7) == seed


def test_holes_of_a_files_name_do_not_change_the_picture() -> None:
    assert holes_of(drawing(seed=1, prefix="{{prefix}}_{{seed}}")) == {
        "prompt",
        "negative_prompt",
        "width",
        "height",
    }
