"""Workflows with placeholders, and idempotency keys that are always the same for an attempt."""

from uuid import UUID

from services.gateways.comfyui.graphs import graph_of, template_of
from services.gateways.comfyui.settings import ComfyUISettings
from services.gateways.kit.workflows import filled
from tests.fakes.provider import a_spec, an_attempt_request

LORA = {"key": "loras/mia.safetensors", "trigger_word": "mia7", "scale": 0.8}

SETTINGS = ComfyUISettings(base_url="http://c", checkpoint="c.st", flux_checkpoint="f.st")


def test_a_placeholder_that_is_the_whole_text_takes_the_values_own_type() -> None:
    graph = {"1": {"inputs": {"seed": "{{seed}}", "text": "{{prompt}}", "width": "{{width}}"}}}
    spec = a_spec(seed=7, prompt="a pier", width=640)
    assert filled(graph, spec)["1"]["inputs"] == {"seed": 7, "text": "a pier", "width": 640}


def test_a_hole_inside_a_text_is_written_into_it() -> None:
    assert filled({"a": ["{{prompt}}, seed {{seed}}!"]}, a_spec(seed=7, prompt="a pier")) == {
        "a": ["a pier, seed 7!"]
    }


def test_unknown_holes_links_and_numbers_stay_as_they_are() -> None:
    graph = {"1": {"inputs": {"model": ["4", 0], "cfg": 1.5, "x": "{{no_such}}", "y": "{ {seed} }"}}}
    assert filled(graph, a_spec()) == graph


def test_a_prompt_that_looks_like_a_placeholder_is_not_filled_again() -> None:
    assert filled({"a": "{{prompt}}"}, a_spec(prompt="{{seed}}")) == {"a": "{{seed}}"}


def test_the_callers_graph_itself_is_not_changed() -> None:
    graph = {"1": {"inputs": {"seed": "{{seed}}"}}}
    filled(graph, a_spec())
    assert graph == {"1": {"inputs": {"seed": "{{seed}}"}}}


def test_the_template_is_chosen_by_what_the_render_brings() -> None:
    asset = "018f0000-0000-7000-8000-000000000000/0"
    assert template_of(an_attempt_request()) == "base"
    assert template_of(an_attempt_request(reference=asset)) == "reference"
    assert template_of(an_attempt_request(reference=asset, face=asset)) == "face_swap"
    assert template_of(an_attempt_request(lora=LORA)) == "flux_lora"
    assert template_of(an_attempt_request(lora=LORA | {"base_model": "sdxl"})) == "lora"


def test_every_template_is_filled_without_a_rest() -> None:
    asset = "018f0000-0000-7000-8000-000000000000/0"
    other = LORA | {"base_model": "sdxl"}
    for fields in ({}, {"reference": asset}, {"face": asset}, {"lora": LORA}, {"lora": other}):
        request = an_attempt_request(**fields)
        graph = graph_of(request, SETTINGS, reference_image="r.png", face_image="f.png")
        assert "{{" not in str(graph), fields


def test_our_id_is_a_uuid_that_belongs_to_the_attempt() -> None:
    request, other = an_attempt_request(), an_attempt_request()
    assert request.idempotency_key == request.idempotency_key == str(UUID(request.idempotency_key))
    assert request.idempotency_key != other.idempotency_key
