"""Prompt dialects: the text sent to each model is the text published and stored."""

from typing import Any

import pytest

from contracts.renders import RenderSucceeded
from services.gateways.comfyui.graphs import reads
from services.gateways.kit.dialects import Dialect, dialect_of, in_dialect, model_names
from tests.fakes.ledger import GatewayHarness
from tests.fakes.provider import a_command, a_spec, an_attempt_request
from tests.fakes.waiting import background, until
from tests.unit.gateways.test_intake import IntakeHarness

LORA = {"key": "loras/mia.safetensors", "trigger_word": "mia7"}
SPEC = {"prompt": "A pier.", "tag_prompt": "(pier:1.2)", "negative_prompt": "blurry"}
FLUX_GRAPH = {"1": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux1-dev.safetensors"}}}
SDXL_GRAPH = {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sdxl.safetensors"}}}
OPEN_GRAPH = {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "{{checkpoint}}"}}}


def _sent(dialect: Dialect, spec: dict[str, Any] = SPEC, **fields: Any) -> tuple[str, str, str]:
    sent = in_dialect(a_command(spec=a_spec(**spec), **fields), dialect).spec
    return sent.prompt, sent.tag_prompt, sent.negative_prompt


def test_flux_gets_prose_and_no_negative_prompt() -> None:
    assert _sent("prose") == ("A pier.", "", "")


def test_sdxl_gets_tags_and_the_negative_prompt() -> None:
    assert _sent("tags") == ("(pier:1.2)", "", "blurry")


def test_a_plan_without_tags_sends_its_prose_everywhere() -> None:
    assert _sent("tags", {"prompt": "A pier.", "negative_prompt": "blurry"}) == ("A pier.", "", "blurry")


def test_a_callers_workflow_may_use_the_negative_prompt_whatever_it_runs() -> None:
    assert _sent("prose", workflow=FLUX_GRAPH) == ("A pier.", "", "blurry")


def test_a_training_is_left_alone() -> None:
    command = a_command(spec=a_spec(kind="lora_training", **SPEC))
    assert in_dialect(command, "tags") is command


@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        ("fal-ai/flux/dev", "prose"),
        ("FLUX.1-dev", "prose"),
        ("fal-ai/fast-sdxl", "tags"),
        ("sd_xl_base_1.0.safetensors", "tags"),
        ("flux-sdxl-mix", "prose"),
    ],
)
def test_a_models_name_may_tell_what_it_reads(name: str, dialect: Dialect) -> None:
    assert dialect_of([name], "prose") == dialect_of([name], "tags") == dialect


def test_a_name_that_tells_nothing_leaves_it_to_the_setting() -> None:
    assert (dialect_of(["juggernaut"], "prose"), dialect_of([], "tags")) == ("prose", "tags")


def test_the_names_of_a_graph_are_its_nodes_and_files() -> None:
    assert list(model_names(FLUX_GRAPH)) == ["UNETLoader", "flux1-dev.safetensors"]


def test_comfyui_uses_the_dialect_of_the_requests_model() -> None:
    assert (reads(an_attempt_request(), "tags"), reads(an_attempt_request(), "prose")) == ("tags", "prose")
    assert reads(an_attempt_request(lora=LORA), "tags") == "prose"
    assert reads(an_attempt_request(lora=LORA | {"base_model": "sdxl"}), "prose") == "tags"
    assert reads(an_attempt_request(workflow=FLUX_GRAPH), "tags") == "prose"
    assert reads(an_attempt_request(workflow=SDXL_GRAPH), "prose") == "tags"
    assert (
        reads(an_attempt_request(workflow=OPEN_GRAPH), "tags"),
        reads(an_attempt_request(workflow=OPEN_GRAPH), "prose"),
    ) == (
        "tags",
        "prose",
    )


async def test_the_prompt_that_is_sent_is_the_one_that_is_published_and_stored(
    harness: GatewayHarness,
) -> None:
    command = a_command(spec=a_spec(**SPEC))
    harness.provider.reads = "tags"
    intake = IntakeHarness(harness)
    await harness.owner()
    await intake.deliver(command)
    async with background(intake.engine.run):
        await until(lambda: len(intake.engine) == 0)
    [told] = harness.publisher.said(RenderSucceeded)
    assert (told.spec.prompt, told.spec.tag_prompt) == ("(pier:1.2)", "")
    assert harness.attempts.kept[command.attempt_id]["command"]["spec"]["prompt"] == "(pier:1.2)"
