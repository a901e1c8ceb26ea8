"""A training is one render whose result is a LoRA: routed, retried, paid and ended as policy says."""

from typing import Any

import pytest

from contracts.generation import GenerationPlanned
from contracts.renders import RenderRequested, ResultStored, StoredLora
from services.dispatcher.policies import load_policies
from tests.fakes.builders import JOB, a_plan, a_spec, after, due, failed, progressed, stored
from tests.unit.dispatcher.life import Life

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


def life_of(*messages: Any) -> Life:
    return Life(*messages, policies=SHIPPED)


def test_a_training_goes_to_fal_and_has_two_hours() -> None:
    life = life_of(a_training())
    [command] = life.only(RenderRequested)
    assert (command.provider, command.deadline_at, command.alternatives) == ("fal", after(7200), True)
    assert (command.spec.training_images, command.spec.captions) == (IMAGES, ("a",) * 4)


def test_a_provider_that_is_asked_for_trains() -> None:
    [command] = life_of(a_training(provider="modal")).only(RenderRequested)
    assert (command.provider, command.alternatives) == ("modal", False)


def test_comfyui_does_not_train() -> None:
    life = life_of(a_training(provider="comfyui"))
    assert life.job.error is not None
    assert life.job.error.code == "no_provider"


def test_the_lora_is_announced_and_completes_the_job() -> None:
    life = life_of(a_training(), progressed(percent=40)).at(1200).hear(trained())
    assert life.events() == ["image_ready", "completed"]
    image = life.event("image_ready").image
    assert image is not None
    assert (image.index, image.lora, image.stored) == (0, LORA, None)
    [render] = life.job.renders
    assert (render.state, render.lora, render.stored) == ("done", LORA, None)
    assert (life.job.status, life.job.delivered) == ("completed", 1)


def test_a_lora_is_delivered_once() -> None:
    life = life_of(a_training(), trained())
    before = life.job
    assert not life.hear(trained(duplicate=True), trained(2)).said
    assert life.job is before


def test_a_training_is_priced_by_the_list() -> None:
    cost = life_of(a_training(), trained()).job.cost
    assert (cost.attempts, cost.usd, cost.estimated) == (1, 2.0, True)


@pytest.mark.parametrize("code", ["unsupported", "pickled_weights"])
def test_what_one_trainer_cannot_do_the_other_is_asked(code: str) -> None:
    life = life_of(a_training(), failed(code=code, retryable=False)).at(2).hear(due(after(2)))
    assert [command.provider for command in life.only(RenderRequested)] == ["modal"]


def test_a_training_that_is_not_done_after_two_hours_has_failed() -> None:
    life = life_of(a_training(), progressed(percent=99)).at(7200).hear(due(after(7200)))
    assert life.job.error is not None
    assert life.job.error.code == "deadline_exceeded"
    assert life.stopped() == [f"{JOB}/0/1"]
