"""Routes of renders: the requested provider first, then the need, then the order of the type."""

from typing import Any

import pytest

from contracts.base import Provider
from contracts.generation import RenderSpec
from contracts.renders import RenderRequested
from services.dispatcher.policies import load_policies
from tests.fakes.builders import JOB, LORA, POLICIES, a_plan, a_spec, after, due, failed
from tests.unit.dispatcher.job_harness import JobHarness

FACE = f"{JOB}/0"


def providers_of(plan: Any) -> list[str]:
    return [command.provider for command in JobHarness(plan).only(RenderRequested)]


def routed(spec: RenderSpec, **asked: Any) -> tuple[str, ...]:
    wishes = {"provider": None, "model": None, "workflow": False} | asked
    return POLICIES.route("studio", spec, **wishes)


def test_without_a_requested_provider_the_order_of_the_type_counts() -> None:
    assert routed(a_spec()) == ("modal", "comfyui", "fal")
    assert providers_of(a_plan(type="profile_pictures")) == ["comfyui"]


@pytest.mark.parametrize(
    ("needs", "able"),
    [
        ({"reference": FACE}, ("modal", "comfyui")),
        ({"lora": LORA}, ("modal", "comfyui")),
        ({"face": FACE}, ("fal", "modal")),
        ({"face": FACE, "lora": LORA}, ("modal", "comfyui")),
        ({"kind": "lora_training"}, ()),
    ],
)
def test_only_able_providers_are_used_the_preferred_ones_first(
    needs: dict[str, Any], able: tuple[str, ...]
) -> None:
    assert routed(a_spec(**needs)) == able


@pytest.mark.parametrize(
    ("bound", "able"),
    [(("comfyui",), ("comfyui",)), (("fal", "comfyui"), ("comfyui",)), (("fal",), ()), ((), ())],
)
def test_a_lora_is_used_only_where_its_weights_work(
    bound: tuple[Provider, ...], able: tuple[str, ...]
) -> None:
    lora = LORA.model_copy(update={"providers": bound})
    assert routed(a_spec(lora=lora)) == able
    assert routed(a_spec(lora=lora), workflow=True) == able


def test_a_lora_that_no_configured_provider_can_use_fails_the_job_with_the_reason() -> None:
    harness = JobHarness(a_plan(renders=(a_spec(lora=LORA.model_copy(update={"providers": ("fal",)})),)))
    assert harness.job.error is not None
    assert (harness.job.error.code, harness.job.error.message) == (
        "no_provider",
        "'shot 0': no provider is able to use a LoRA; the LoRA's weights work only at fal",
    )


def test_a_workflow_is_routed_to_providers_that_run_workflows() -> None:
    assert routed(a_spec(), workflow=True) == ("modal", "comfyui")
    assert providers_of(a_plan(provider="comfyui", workflow={"3": {}})) == ["comfyui"]


def test_an_explicit_provider_wins() -> None:
    assert providers_of(a_plan(images=2, provider="fal")) == ["fal", "fal"]
    assert routed(a_spec(face=FACE), provider="comfyui") == ("comfyui",)


def test_a_model_names_its_provider() -> None:
    assert providers_of(a_plan(model="fal-ai/flux/dev")) == ["fal"]
    assert providers_of(a_plan(model="sdxl")) == ["modal"]


def test_an_explicit_provider_wins_over_the_models() -> None:
    assert routed(a_spec(), provider="modal", model="fal-ai/flux/dev") == ("modal",)


def test_each_image_of_a_set_is_routed_to_an_able_provider() -> None:
    plan = a_plan(renders=(a_spec(0), a_spec(1, face=FACE)))
    assert providers_of(plan) == ["modal", "fal"]


def test_a_request_that_its_provider_cannot_fulfil_fails_with_the_reason() -> None:
    harness = JobHarness(a_plan(provider="fal", workflow={"3": {}}))
    assert harness.events() == ["accepted", "image_failed", "failed"]
    assert harness.job.error is not None
    assert harness.job.error.code == "no_provider"
    assert harness.job.error.message == (
        "'shot 0': the request names provider 'fal', which cannot run a caller's workflow; "
        "providers that can: modal, comfyui"
    )
    assert not harness.commands()


def test_the_reason_of_a_missing_route_names_the_provider_the_model_or_the_lora_that_rules_it_out() -> None:
    lora = LORA.model_copy(update={"providers": ("comfyui",)})
    reasons = {
        POLICIES.no_route_reason(a_spec(face=FACE), provider=None, model=None, workflow=False),
        POLICIES.no_route_reason(a_spec(), provider=None, model="fal-ai/flux/dev", workflow=True),
        POLICIES.no_route_reason(a_spec(lora=lora), provider="modal", model=None, workflow=False),
    }
    assert reasons == {
        "'shot 0': no provider is able to swap a face",
        "'shot 0': model 'fal-ai/flux/dev' runs only at fal, which cannot run a caller's workflow; "
        "providers that can: modal, comfyui",
        "'shot 0': the request names provider 'modal', where the weights of its LoRA do not work; "
        "providers that can: comfyui",
    }


def test_a_set_with_an_image_that_no_provider_can_draw_is_cancelled() -> None:
    harness = JobHarness(a_plan(renders=(a_spec(0), a_spec(1, lora=LORA)), provider="fal"))
    assert harness.events() == ["accepted", "image_failed", "image_failed", "failed"]
    assert harness.commands() == harness.cancelled() == [f"{JOB}/0/1"]


def test_a_retry_is_routed_as_the_first_attempt_was() -> None:
    harness = JobHarness(a_plan(provider="comfyui"), failed()).at(2).receive(due(after(2)))
    assert [command.provider for command in harness.only(RenderRequested)] == ["comfyui"]


def test_the_shipped_policies_give_every_image_type_a_provider() -> None:
    shipped = load_policies()
    for kind in ("base_image", "character_sheet", "studio", "profile_pictures"):
        assert shipped.route(kind, a_spec(), provider=None, model=None, workflow=False)


@pytest.mark.parametrize(
    ("kind", "target", "deadline"),
    [
        ("base_image", 30, 300),
        ("character_sheet", 300, 900),
        ("studio", 15, 300),
        ("profile_pictures", 120, 600),
        ("lora_training", 3600, 7200),
    ],
)
def test_the_shipped_policies_have_the_documented_targets(kind: Any, target: float, deadline: float) -> None:
    policy = load_policies().types[kind]
    assert (policy.target_seconds, policy.deadline_seconds) == (target, deadline)


def test_the_shipped_interval_between_lora_checks_is_30_seconds() -> None:
    assert load_policies().look_for_lora_seconds == 30


def test_a_quick_face_swap_goes_to_fal_as_shipped() -> None:
    spec = a_spec(face=FACE)
    assert load_policies().route("studio", spec, provider=None, model=None, workflow=False)[0] == "fal"


@pytest.mark.parametrize(
    ("kind", "requested", "least"),
    [("base_image", 3, 1), ("character_sheet", 7, 5), ("studio", 1, 1), ("studio", 10, 1)],
)
def test_the_smallest_number_of_images_is_rounded_up_and_at_least_one(
    kind: Any, requested: int, least: int
) -> None:
    assert load_policies().types[kind].min_images(requested) == least
