"""Plans of acceptable requests of each type."""

from datetime import timedelta

import pytest

from contracts.generation import GenerationPlanned
from prompts.catalogue import default_catalogue
from prompts.planner import plan, stored_character_id
from prompts.seeds import seed_from
from tests.unit.prompts.examples import (
    AT,
    BASE_IMAGE,
    CHARACTER,
    IMAGES,
    JOB,
    LORA,
    MIA,
    MIA_WITH_FACE,
    MIA_WITH_LORA,
    planned,
    requested,
)
from tests.unit.workflow_graphs import drawing

MIA_LOOKS = "A 27-year-old Japanese woman with long wavy black hair and green eyes, freckles"
PHOTO = "Photorealistic photograph, natural skin texture"
LENS = "85mm lens, soft natural light"
HIGH = "high quality, sharp focus, fine detail"


def test_a_base_image_request_becomes_three_candidates_of_one_person() -> None:
    made = planned("base_image")
    framing = "Head and shoulders portrait, face clearly visible, even soft light, plain light background"
    made_so = f"{PHOTO}, {LENS}, {HIGH}."
    assert [render.prompt for render in made.renders] == [
        f"{MIA_LOOKS}. {framing}, facing the camera, neutral expression. {made_so}",
        f"{MIA_LOOKS}. {framing}, facing the camera, faint smile. {made_so}",
        f"{MIA_LOOKS}. {framing}, head slightly turned, relaxed expression. {made_so}",
    ]
    assert [render.label for render in made.renders] == ["candidate 1", "candidate 2", "candidate 3"]
    assert {(render.width, render.height) for render in made.renders} == {(896, 1152)}


def test_a_sheet_has_the_first_poses_and_the_selected_face() -> None:
    made = planned("character_sheet")
    assert [render.label for render in made.renders] == [
        "front-portrait",
        "three-quarter-left",
        "full-body-front",
        "profile-right",
        "over-the-shoulder",
        "laughing",
        "walking",
    ]
    assert {render.reference for render in made.renders} == {BASE_IMAGE}
    assert made.renders[4].prompt == (
        f"{MIA_LOOKS}. Half-body shot, from the waist up, three-quarter view from behind,"
        " back turned to the camera, looking back over the shoulder, soft smile."
        " Wearing an olive green jacket, in front of a blurred hedge, overcast daylight."
        f" {PHOTO}, {HIGH}."
    )


def test_a_sheet_has_the_requested_number_of_poses() -> None:
    assert len(planned("character_sheet", count=10).renders) == 10


def test_studio_pictures_differ_only_by_seed() -> None:
    first, *others = planned(prompt="sunset", scene="beach", count=4, seed=5).renders
    assert first.seed == 5
    for index, other in enumerate(others, 1):
        same = first.model_copy(update={"index": index, "label": str(index + 1), "seed": other.seed})
        assert other == same


def test_a_studio_prompt_is_readable() -> None:
    made = planned(
        prompt="beach scene, sunset", scene="beach", outfit="swimsuit", style="cinematic", quality="ultra"
    )
    assert made.renders[0].prompt == (
        f"{MIA_LOOKS}, cheerful expression. Wearing a classic one-piece swimsuit, on a sandy beach,"
        " turquoise water, gentle waves, warm sunlight. Beach scene, sunset. Cinematic film still,"
        " dramatic lighting, shallow depth of field, subtle film grain, best quality, 8k, intricate detail,"
        " sharp focus, professional colour grading."
    )


@pytest.mark.parametrize("mode", ["auto", "lora"])
def test_an_existing_lora_is_used(mode: str) -> None:
    (render,) = planned(mode=mode, character=MIA_WITH_LORA).renders
    assert render.lora == LORA
    assert render.face is None
    assert render.prompt.startswith("mia_tok, a 27-year-old")


def test_a_face_is_swapped_in_without_a_lora() -> None:
    (render,) = planned(character=MIA_WITH_FACE).renders
    assert render.face == BASE_IMAGE
    assert render.lora is None


def test_a_face_swap_does_not_use_the_lora() -> None:
    (render,) = planned(mode="face_swap", character=MIA_WITH_LORA).renders
    assert render.face == BASE_IMAGE
    assert render.lora is None
    assert "mia_tok" not in render.prompt


def test_a_character_without_face_and_lora_is_drawn_by_its_appearance() -> None:
    (render,) = planned().renders
    assert (render.face, render.lora, render.reference) == (None, None, None)


def test_a_profile_set_becomes_its_shots() -> None:
    made = planned("profile_pictures", set_id="professional", character=MIA_WITH_FACE)
    assert [render.label for render in made.renders] == ["headshot", "desk", "standing", "speaking"]
    assert {render.reference for render in made.renders} == {BASE_IMAGE}
    assert {(render.width, render.height) for render in made.renders} == {(1024, 1024)}
    assert made.renders[0].prompt == (
        f"{MIA_LOOKS}. Corporate headshot, confident smile. Wearing a tailored navy suit and a white shirt,"
        f" dark grey studio background, softbox light. {PHOTO}, {HIGH}."
    )


def test_a_profile_set_uses_the_lora_only_without_a_face() -> None:
    with_face = planned("profile_pictures", character=MIA_WITH_LORA).renders[0]
    assert (with_face.reference, with_face.lora) == (BASE_IMAGE, None)
    lora_only = MIA.model_copy(update={"lora": LORA})
    without = planned("profile_pictures", character=lora_only).renders[0]
    assert (without.reference, without.lora) == (None, LORA)
    assert without.prompt.startswith("mia_tok, ")


def test_a_training_is_one_render_with_its_images() -> None:
    (render,) = planned("lora_training").renders
    assert (render.kind, render.label, render.prompt) == ("lora_training", "lora", "mia_tok")
    assert render.training_images == IMAGES


def test_a_stored_character_is_planned_like_an_inline_one() -> None:
    stored = planned(character_id=CHARACTER, stored=MIA_WITH_FACE)
    inline = planned(character=MIA_WITH_FACE)
    assert stored.renders == inline.renders
    assert stored.character_id == CHARACTER
    assert inline.character_id is None


def test_only_a_character_that_is_not_inline_must_be_read() -> None:
    assert stored_character_id(requested(character_id=CHARACTER)) == CHARACTER
    assert stored_character_id(requested("lora_training")) == CHARACTER
    assert stored_character_id(requested()) is None
    assert stored_character_id(requested("base_image")) is None


@pytest.mark.parametrize(
    ("aspect", "size"),
    [("square", (1024, 1024)), ("landscape", (1152, 896)), ("wide", (1344, 768)), ("tall", (768, 1344))],
)
def test_the_aspect_determines_the_size(aspect: str, size: tuple[int, int]) -> None:
    (render,) = planned(aspect=aspect).renders
    assert (render.width, render.height) == size


def test_explicit_wording_is_removed_unless_the_request_allows_it() -> None:
    (safe,) = planned(prompt="a nude portrait", outfit="lingerie").renders
    assert not safe.nsfw_allowed
    assert ". A portrait. " in safe.prompt
    assert ". Wearing elegant lace lingerie " in safe.prompt
    assert "exposed breasts" in safe.negative_prompt
    (allowed,) = planned(prompt="a nude portrait", outfit="lingerie", include_nsfw=True).renders
    assert allowed.nsfw_allowed
    assert ". A nude portrait. " in allowed.prompt
    assert "bare breasts" in allowed.prompt
    assert "nude" not in allowed.negative_prompt


def test_the_routing_preferences_are_passed_on() -> None:
    made = planned(provider="comfyui", workflow=drawing())
    assert (made.provider, made.model, made.workflow) == ("comfyui", None, drawing())
    assert planned(provider="comfyui", model="flux.safetensors").model == "flux.safetensors"
    assert planned("lora_training", provider="modal").provider == "modal"


def test_the_plan_has_the_fields_of_later_steps() -> None:
    request = requested().model_copy(update={"chain_id": CHARACTER})
    made = plan(request, character=None, requested_at=AT, catalogue=default_catalogue())
    assert isinstance(made, GenerationPlanned)
    assert (made.job_id, made.tenant, made.user_id, made.type) == (JOB, "acme", "u1", "studio")
    assert (made.chain_id, made.requested_at, made.notify) == (CHARACTER, AT, request.notify)


def test_the_time_of_a_request_is_never_after_its_record() -> None:
    for said, counts in (
        (AT - timedelta(seconds=9), AT - timedelta(seconds=9)),
        (AT + timedelta(days=1), AT),
    ):
        request = requested().model_copy(update={"requested_at": said})
        made = plan(request, character=None, requested_at=AT, catalogue=default_catalogue())
        assert made.requested_at == counts


def test_the_seed_is_derived_from_the_job_unless_the_request_sets_it() -> None:
    assert planned().renders[0].seed == seed_from(JOB)
    assert planned(seed=0).renders[0].seed == 0
