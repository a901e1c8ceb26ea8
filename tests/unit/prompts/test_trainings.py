"""A training's plan: one render with its images, a caption for each or none, and how long."""

import pytest

from tests.unit.prompts.examples import IMAGES, planned


def test_a_training_is_one_render_of_its_images_under_its_word() -> None:
    [render] = planned("lora_training", steps=1200, trigger_word=" mia7 ").renders
    assert (render.kind, render.prompt, render.training_images) == ("lora_training", "mia7", IMAGES)
    assert (render.captions, render.steps) == ((), 1200)


@pytest.mark.parametrize(
    ("given", "captions"),
    [
        ((), ()),
        (("front", "left"), ("front", "left", *[""] * 5)),
        (tuple("abcdefg"), tuple("abcdefg")),
        (tuple("abcdefghi"), tuple("abcdefg")),
    ],
    ids=["none", "some", "all", "too many"],
)
def test_captions_are_one_per_image_or_none(given: tuple[str, ...], captions: tuple[str, ...]) -> None:
    [render] = planned("lora_training", captions=given).renders
    assert (render.captions, render.steps) == (captions, None)
