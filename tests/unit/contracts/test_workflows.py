"""Rules for a caller's workflow: its result, its seed and its placeholders."""

from typing import Any

import pytest

from contracts.workflows import batch_of, depths, placeholders_of, result_of, seed_of
from tests.unit.workflow_graphs import Graph, draft_and_final, drawing, files, saving


def chosen(graph: Graph, outputs: dict[str, Any]) -> tuple[str, list[str]]:
    """Return the file names of the result and of the dropped images."""
    result = result_of(graph, outputs)
    assert result is not None
    return result.file["filename"], [file["filename"] for file in result.dropped]


@pytest.mark.parametrize("order", [("7", "11"), ("11", "7")])
def test_the_image_at_the_end_of_the_longest_chain_is_the_result(order: tuple[str, ...]) -> None:
    saved = {"7": files("draft.png"), "11": files("final.png")}
    assert chosen(draft_and_final(), {node: saved[node] for node in order}) == ("final.png", ["draft.png"])


def test_a_node_titled_result_takes_precedence() -> None:
    graph = draft_and_final()
    graph["7"]["_meta"] = {"title": " Result "}
    assert chosen(graph, {"7": files("draft.png"), "11": files("final.png")})[0] == "draft.png"


def test_the_last_listed_of_equally_distant_nodes_is_the_result() -> None:
    graph = drawing() | {"8": saving("6", "second")}
    assert chosen(graph, {"8": files("second.png"), "7": files("first.png")}) == ("second.png", ["first.png"])


def test_the_first_image_of_a_batch_is_the_result_and_the_others_are_dropped() -> None:
    assert chosen(drawing(), {"7": files("a.png", "b.png", "c.png")}) == ("a.png", ["b.png", "c.png"])


def test_previews_are_neither_the_result_nor_dropped() -> None:
    graph = drawing() | {"8": {"class_type": "PreviewImage", "inputs": {"images": ["6", 0]}}}
    assert chosen(graph, {"8": files("p.png", kind="temp"), "7": files("a.png")}) == ("a.png", [])
    assert result_of(graph, {"8": files("p.png", kind="temp")}) is None


@pytest.mark.parametrize(
    "output", [None, 1, "x", [], {}, {"images": None}, {"images": [1, {"type": "output"}, None]}]
)
def test_malformed_outputs_and_graphs_are_tolerated(output: Any) -> None:
    for graph in ({}, {"7": None}, {"7": {"inputs": 1}}, {"7": {"inputs": {"x": ["7", 0]}}}, drawing()):
        result_of(graph, {"7": output})
        seed_of(graph, 1)


def test_a_long_chain_and_a_cycle_are_handled() -> None:
    chain = {str(n): {"inputs": {"image": [str(n - 1), 0]}} for n in range(20_000)}
    assert depths(chain)["19999"] == 19_999
    assert depths({"1": {"inputs": {"x": ["2", 0]}}, "2": {"inputs": {"x": ["1", 0]}}}) == {}


NUMBER = {"9": {"class_type": "PrimitiveInt", "inputs": {"value": 42}}}

DECODED_AFTER_8 = {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2], "x": ["8", 0]}}
NAMED_BY_SEED = {"class_type": "SaveImagePlus", "inputs": {"images": ["6", 0], "filename": "{{seed}}"}}
LOOP = {"20": {"inputs": {"seed": 1, "x": ["21", 0]}}, "21": {"inputs": {"x": ["20", 0]}}}


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
        (drawing(seed=42) | {"8": {"inputs": {"noise_seed": 43}}}, 42),
        (drawing(seed=42) | {"8": {"inputs": {"noise_seed": "{{seed}}"}}}, 42),
        (drawing(seed=42) | {"7": NAMED_BY_SEED}, 42),
        (drawing(seed=42) | {"2": {"inputs": {"text": "{{prompt}} {{seed}}", "clip": ["1", 1]}}}, 42),
        (drawing() | {"8": {"inputs": {"noise_seed": 0}}}, 7),
        (drawing(seed="1{{seed}}"), 17),
        (drawing(seed=["9", 0]) | {"9": {"inputs": {"value": 7, "b": 3, "operation": "multiply"}}}, None),
        (drawing(seed=["9", 0]) | {"9": {"inputs": {"seed": 7, "mode": "randomize"}}}, None),
        (drawing(seed=["9", 0]) | {"9": {"inputs": {"value": ["10", 0]}}, "10": NUMBER["9"]}, 42),
        (drawing(seed=["9", 0]) | {"9": {"inputs": {"value": ["9", 0]}}}, None),
        (drawing() | {"8": {"inputs": {"noise_seed": 8}}, "6": DECODED_AFTER_8}, None),
        (drawing(seed=42) | {"20": LOOP["20"], "21": LOOP["21"]}, 42),
        ({"1": {"inputs": {"image": "a.png"}}}, None),
    ],
)
def test_the_seed_is_the_given_one_for_a_placeholder_else_the_only_one_of_the_graph(
    graph: Graph, seed: int | None
) -> None:
    assert seed_of(graph, 7) == seed


def test_a_cycle_outside_of_the_result_has_no_effect() -> None:
    graph = draft_and_final() | LOOP
    saved = {"11": files("final.png"), "7": files("draft.png")}
    listed_last = {node: graph[node] for node in graph if node != "7"} | {"7": graph["7"]}
    assert chosen(listed_last, saved) == ("final.png", ["draft.png"])


def test_an_expanded_saving_node_has_the_position_of_its_original() -> None:
    saved = {"11.0.0.2": files("final.png"), "7": files("draft.png")}
    assert chosen(draft_and_final(), saved) == ("final.png", ["draft.png"])


@pytest.mark.parametrize(
    ("graph", "images"),
    [
        (drawing(), 1),
        (drawing(batch_size=4), 4),
        (drawing(batch_size=["9", 0]), 1),
        (drawing(batch_size=["9", 0]) | NUMBER, 42),
    ],
)
def test_the_batch_of_a_graph_is_read_from_its_latent_image(graph: Graph, images: int) -> None:
    assert batch_of(graph) == images
    assert batch_of(graph | {"8": {"inputs": {"batch_size": 9}}}) == images


def test_placeholders_of_nodes_outside_of_the_result_do_not_count() -> None:
    graph = drawing(seed=1) | {"8": {"inputs": {"text": "{{seed}}"}}}
    assert "seed" not in placeholders_of(graph)
    assert "seed" not in placeholders_of(drawing(seed=1) | {"7": NAMED_BY_SEED})


def test_placeholders_in_file_names_do_not_count() -> None:
    assert placeholders_of(drawing(seed=1, prefix="{{prefix}}_{{seed}}")) == {
        "prompt",
        "negative_prompt",
        "width",
        "height",
    }
