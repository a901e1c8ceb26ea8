"""Rejection of workflows whose run would fail, or would be billed without a result."""

from typing import Any

import pytest

from contracts.workflows import WORKFLOW_PROVIDERS
from services.dispatcher.policies import load_policies
from tests.unit.prompts.examples import planned, reasons
from tests.unit.workflow_graphs import Graph, drawing, saving

PREFIX_FIELD = "request.workflow.7.inputs.filename_prefix"
SEED_FIELD = "request.workflow.5.inputs.seed"


def with_text(text: Any) -> Graph:
    return drawing() | {"2": {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["1", 1]}}}


def accepted(workflow: Graph) -> bool:
    return planned(workflow=workflow).workflow == workflow


NEGATIVE = "{} is not a placeholder; did you mean {{{{negative_prompt}}}}?"
PREVIEW = {"7": {"class_type": "PreviewImage", "inputs": {"images": ["6", 0]}}}
TITLED = {"7": {"class_type": "TheirOutput", "inputs": {"images": ["6", 0]}, "_meta": {"title": "result"}}}


@pytest.mark.parametrize(
    "workflow",
    [
        {node: inputs for node, inputs in drawing().items() if node != "7"},
        drawing() | PREVIEW,
    ],
    ids=["none", "only a preview"],
)
def test_a_workflow_without_a_node_that_saves_is_refused(workflow: Graph) -> None:
    found = reasons(workflow=workflow)
    assert list(found) == ["request.workflow"]
    assert "add a SaveImage node" in found["request.workflow"]


def test_a_custom_saving_node_is_recognised_by_its_title() -> None:
    assert accepted(drawing() | TITLED)


@pytest.mark.parametrize(
    "prefix",
    [
        "/etc/x",
        "../../x",
        "a/../../x",
        "..\\x",
        "C:\\x",
        "c:x",
        "\\x",
        " /x",
        "a/..",
        ["8", 0],
        "{{seed}}/../x",
    ],
)
def test_a_file_prefix_outside_of_the_output_folder_is_refused(prefix: Any) -> None:
    workflow = drawing(prefix=prefix) | {"8": {"class_type": "PrimitiveString", "inputs": {"value": "/x"}}}
    assert list(reasons(workflow=workflow)) == [PREFIX_FIELD]


@pytest.mark.parametrize("prefix", ["x", "a/b", "a..b", "{{prefix}}", "x_{{seed}}", "%date:yyyy%/x", ".x"])
def test_a_file_prefix_inside_of_the_output_folder_is_accepted(prefix: str) -> None:
    assert accepted(drawing(prefix=prefix))


@pytest.mark.parametrize("seed", [-1, None, 2**64 - 0.5, 1.5, "x", "", "-1", str(2**64), -1.0])
@pytest.mark.parametrize("name", ["seed", "noise_seed"])
def test_an_invalid_seed_is_refused(seed: Any, name: str) -> None:
    workflow = drawing()
    workflow["5"]["inputs"][name] = seed
    found = reasons(workflow=workflow)
    assert list(found) == [f"request.workflow.5.inputs.{name}"]
    assert "or '{{seed}}' for one per image" in found[f"request.workflow.5.inputs.{name}"]


@pytest.mark.parametrize("seed", [0, 2**64 - 1, "42", " 42 ", "{{seed}}", ["8", 0], 5.0])
def test_a_valid_seed_is_accepted(seed: Any) -> None:
    assert accepted(drawing(seed=seed) | {"8": {"class_type": "PrimitiveInt", "inputs": {"value": 1}}})


def test_a_cycle_is_reported_with_its_nodes() -> None:
    workflow = drawing()
    workflow["6"]["inputs"]["samples"] = ["7", 0]
    [(field, message)] = reasons(workflow=workflow).items()
    assert field == "request.workflow"
    assert message in ("has a cycle of nodes: 6 → 7 → 6", "has a cycle of nodes: 7 → 6 → 7")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ prompt }}", "{{ prompt }} is not a placeholder; did you mean {{prompt}}?"),
        ("x {{SEED}}", "{{SEED}} is not a placeholder; did you mean {{seed}}?"),
        (
            "{{negative-prompt}}",
            "{{negative-prompt}} is not a placeholder; did you mean {{negative_prompt}}?",
        ),
        (
            "{{Negative Prompt}}",
            "{{Negative Prompt}} is not a placeholder; did you mean {{negative_prompt}}?",
        ),
        ("{{promt}}", "{{promt}} is not a placeholder; did you mean {{prompt}}?"),
        (
            "{{prompt}} {{foo}}",
            "{{foo}} is not a placeholder; known placeholders: {{prompt}}, {{negative_prompt}}, {{seed}},"
            " {{width}}, {{height}}, {{prefix}}",
        ),
    ],
)
def test_an_unknown_placeholder_is_refused(text: str, message: str) -> None:
    assert reasons(workflow=with_text(text)) == {"request.workflow.2.inputs.text": message}


def test_a_placeholder_deep_in_an_input_is_found() -> None:
    found = reasons(workflow=with_text({"lines": ["a", "{{seeds}}"]}))
    assert list(found) == ["request.workflow.2.inputs.text.lines.1"]


@pytest.mark.parametrize("text", ["{a|b}", "{ {seed} }", "{{prompt}} {{seed}} {{lora_name}}", "{{{seed}}}"])
def test_other_braces_are_accepted(text: str) -> None:
    assert accepted(with_text(text))


def test_a_workflow_requires_a_supporting_provider_and_excludes_a_model() -> None:
    at_fal = reasons(workflow=drawing(), provider="fal")
    assert at_fal == {"request.provider": "fal does not support workflows; use comfyui or modal"}
    assert list(reasons(workflow=drawing(), model="x.safetensors")) == ["request.model"]


def test_a_model_at_comfyui_must_be_a_checkpoint() -> None:
    assert list(reasons(provider="comfyui", model="flux-dev")) == ["request.model"]
    assert planned(provider="comfyui", model="A.CKPT").model == "A.CKPT"
    assert planned(provider="modal", model="flux-dev").model == "flux-dev"


def test_the_providers_with_workflows_agree_with_the_policies() -> None:
    able = {name for name, needs in load_policies().capabilities.items() if "workflow" in needs}
    assert able == set(WORKFLOW_PROVIDERS)


def test_many_errors_give_a_short_answer() -> None:
    many = {str(place): saving("6", "/x") for place in range(100, 200)}
    assert len(reasons(workflow=drawing() | many)) == 10
