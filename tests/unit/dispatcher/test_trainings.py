"""A training is one render whose result is a LoRA; policies decide its routes, retries, price and end."""

from typing import Any

import pytest

from contracts.generation import GenerationPlanned
from contracts.renders import RenderRequested, ResultStored, StoredLora
from services.dispatcher.policies import load_policies
from tests.fakes.builders import JOB, a_plan, a_spec, after, due, failed, progressed, stored
from tests.unit.dispatcher.job_harness import JobHarness

SHIPPED = load_policies()
IMAGES = tuple(f"{JOB}/{index}" for index in range(4))
LORA = StoredLora(
    key=f"acme/{JOB}/0/aa.safetensors",
    manifest_key=f"acme/{JOB}/0/aa.1.manifest.json",
    content_type="application/octet-stream",
    bytes=1000,
    sha256="aa",
    trigger_word="mia7",
    base_model="FLUX.1-dev",
    steps=1200,
    provider="fal",
    attempt=1,
)


def a_training(**fields: Any) -> GenerationPlanned:
    spec = a_spec(kind="lora_training", prompt="mia7", training_images=IMAGES, captions=("a",) * 4)
    return a_plan(type="lora_training", renders=(spec,), **fields)


def trained(n: int = 1, **fields: Any) -> ResultStored:
    known = stored(n=n).model_dump() | {"image": None, "lora": LORA, "provider": "fal"}
    return ResultStored.model_validate(known | fields)


def life_of(*messages: Any) -> JobHarness:
    return JobHarness(*messages, policies=SHIPPED)


def test_a_training_goes_to_fal_and_has_two_hours() -> None:
    harness = life_of(a_training())
    [command] = harness.only(RenderRequested)
    assert (command.provider, command.deadline_at, command.alternatives) == ("fal", after(7200), True)
    assert (command.spec.training_images, command.spec.captions) == (IMAGES, ("a",) * 4)


def test_a_provider_that_is_asked_for_trains() -> None:
    [command] = life_of(a_training(provider="modal")).only(RenderRequested)
    assert (command.provider, command.alternatives) == ("modal", False)


def test_comfyui_does_not_train() -> None:
    harness = life_of(a_training(provider="comfyui"))
    assert harness.job.error is not None
    assert harness.job.error.code == "no_provider"


def test_the_lora_is_announced_and_completes_the_job() -> None:
    harness = life_of(a_training(), progressed(percent=40)).at(1200).receive(trained())
    assert harness.events() == ["image_ready", "completed"]
    image = harness.event("image_ready").image
    assert image is not None
    assert (image.index, image.lora, image.stored) == (0, LORA, None)
    [render] = harness.job.renders
    assert (render.state, render.lora, render.stored) == ("done", LORA, None)
    assert (harness.job.status, harness.job.delivered) == ("completed", 1)


def test_a_lora_is_delivered_once() -> None:
    harness = life_of(a_training(), trained())
    before = harness.job
    assert not harness.receive(trained(duplicate=True), trained(2)).outputs
    assert harness.job is before


def test_a_training_is_priced_by_the_list() -> None:
    cost = life_of(a_training(), trained()).job.cost
    assert (cost.attempts, cost.usd, cost.estimated) == (1, 2.0, True)


@pytest.mark.parametrize("code", ["unsupported", "pickled_weights"])
def test_a_training_that_one_provider_cannot_do_goes_to_the_other(code: str) -> None:
    harness = life_of(a_training(), failed(code=code, retryable=False)).at(2).receive(due(after(2)))
    assert [command.provider for command in harness.only(RenderRequested)] == ["modal"]


def test_a_training_that_is_not_done_after_two_hours_has_failed() -> None:
    harness = life_of(a_training(), progressed(percent=99)).at(7200).receive(due(after(7200)))
    assert harness.job.error is not None
    assert harness.job.error.code == "deadline_exceeded"
    assert harness.cancelled() == [f"{JOB}/0/1"]
