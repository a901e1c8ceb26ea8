"""Rules for workflows of callers."""

from typing import Any

import pytest

from contracts.generation import Reason
from prompts.catalogue import default_catalogue
from prompts.workflows import MAX_BYTES, MAX_WORDING, workflow_reasons
from tests.unit.prompts.examples import planned, reasons
from tests.unit.workflow_graphs import drawing, saving


def _encode(text: str) -> dict[str, Any]:
    return {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["1", 1]}}


def _workflow(positive: str = "{{prompt}}", negative: str = "{{negative_prompt}}") -> dict[str, Any]:
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "flux.safetensors"}},
        "2": _encode(positive),
        "3": _encode(negative),
        "4": {"class_type": "KSampler", "inputs": {"positive": ["2", 0], "negative": ["3", 0], "seed": 1}},
        "9": saving("4"),
    }


def _reasons(workflow: dict[str, Any], *, include_nsfw: bool = False) -> list[Reason]:
    return workflow_reasons(workflow, include_nsfw=include_nsfw, catalogue=default_catalogue())


def test_a_workflow_in_api_format_is_passed_on() -> None:
    assert planned(workflow=_workflow()).workflow == _workflow()


def test_a_workflow_of_the_editor_is_rejected_with_export_instructions() -> None:
    found = reasons(workflow={"nodes": [], "links": [], "version": 0.4})
    assert "Export (API)" in found["request.workflow"]


@pytest.mark.parametrize(
    "workflow",
    [
        {},
        {"1": "KSampler"},
        {"1": {"inputs": {}}},
        {"1": {"class_type": 3, "inputs": {}}},
        {"1": {"class_type": "KSampler", "inputs": []}},
        {"1": None},
    ],
)
def test_a_workflow_must_consist_of_nodes(workflow: dict[str, Any]) -> None:
    assert list(reasons(workflow=workflow)) == ["request.workflow"]


def test_a_workflow_must_not_be_too_large() -> None:
    large = _workflow()
    large["5"] = {"class_type": "Numbers", "inputs": {"values": [1.5] * 50_000}}
    assert _reasons(large) == []
    large["5"]["inputs"]["values"] *= 2
    (reason,) = _reasons(large)
    assert f"at most {MAX_BYTES} bytes" in reason.message
    assert len(reason.message) < 100


def test_the_different_texts_of_a_workflow_may_have_so_many_characters_in_all() -> None:
    workflow = _workflow()
    lines = [f"line {number} of a long story" for number in range(1200)]
    workflow["5"] = {
        "class_type": "Styler",
        "inputs": {"lines": lines, "again": lines, "image": "A" * 66_000},
    }
    assert _reasons(workflow) == []
    workflow["5"]["inputs"]["other"] = "a word " * (MAX_WORDING // 7)
    (reason,) = _reasons(workflow)
    assert (reason.field, f"at most {MAX_WORDING} characters" in reason.message) == ("request.workflow", True)


def test_a_minor_in_a_workflow_is_rejected_with_its_path() -> None:
    (reason,) = _reasons(_workflow("a teenager on a bike"), include_nsfw=True)
    assert reason.field == "request.workflow.2.inputs.text"
    nested = _workflow()
    nested["5"] = {"class_type": "Styler", "inputs": {"lines": [{"text": "two kids"}]}}
    assert [reason.field for reason in _reasons(nested)] == ["request.workflow.5.inputs.lines.0.text"]


def test_explicit_wording_in_a_workflow_requires_permission() -> None:
    (reason,) = _reasons(_workflow("a nude portrait"))
    assert "include_nsfw" in reason.message
    assert _reasons(_workflow("a nude portrait"), include_nsfw=True) == []


def test_the_negative_prompt_of_a_workflow_may_contain_explicit_words() -> None:
    assert _reasons(_workflow(negative="nude, child, teenager")) == []


def test_a_node_that_is_also_used_as_positive_is_not_a_negative_prompt() -> None:
    workflow = _workflow(negative="a child")
    workflow["5"] = {"class_type": "KSampler", "inputs": {"conditioning": ["3", 0]}}
    assert [reason.field for reason in _reasons(workflow)] == ["request.workflow.3.inputs.text"]


@pytest.mark.parametrize(
    ("value", "words"), [("a\0b", "U+0000"), (2**64, "to 2^64-1"), ("\ud800", "surrogate")]
)
def test_a_workflow_that_cannot_be_stored_is_rejected_with_the_path_of_the_error(
    value: object, words: str
) -> None:
    graph = {"1": {"class_type": "KSampler", "inputs": {"x": value}}}
    (reason,) = workflow_reasons(graph, include_nsfw=False, catalogue=default_catalogue())
    assert reason.field == "request.workflow.1.inputs.x"
    assert words in reason.message


def test_images_that_a_workflow_would_draw_alike_are_reported() -> None:
    plan = planned("studio", count=3, workflow=drawing(seed=42))
    [notice] = plan.notices
    assert (notice.code, notice.images) == ("same_picture", (0, 1, 2))
    assert "{{seed}}" in notice.message
    assert planned("studio", count=3, workflow=drawing()).notices == ()
    assert planned("studio", count=1, workflow=drawing(seed=42)).notices == ()
    assert planned("studio", count=3).notices == ()


def test_images_of_a_batch_that_are_not_delivered_are_reported() -> None:
    [notice] = planned("studio", count=4, workflow=drawing(batch_size=4)).notices
    assert (notice.code, notice.images) == ("outputs_dropped", (0, 1, 2, 3))
    assert "make 16 images, of which 4 will be delivered" in notice.message
    assert planned("studio", count=4, workflow=drawing(batch_size=1)).notices == ()


def test_images_with_different_prompts_and_one_fixed_seed_are_not_reported() -> None:
    assert planned("character_sheet", workflow=drawing(seed=42)).notices == ()
