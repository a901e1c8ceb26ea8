"""Plans of trainings: one render with images, captions and steps."""

import pytest

from tests.unit.prompts.examples import IMAGES, MIA, planned, reasons


def test_a_training_is_one_render_with_its_trigger_word() -> None:
    [render] = planned("lora_training", steps=1200, trigger_word=" mia7 ").renders
    assert (render.kind, render.prompt, render.training_images) == ("lora_training", "mia7", IMAGES)
    assert (render.captions, render.steps) == ((), 1200)


@pytest.mark.parametrize("given", [(), tuple("abcdefg"), ("front", *[""] * 6)], ids=["none", "all", "empty"])
def test_captions_are_one_per_image_or_none(given: tuple[str, ...]) -> None:
    [render] = planned("lora_training", captions=given).renders
    assert (render.captions, render.steps) == (given, None)


@pytest.mark.parametrize("captions", [("front", "left"), tuple("abcdefghi")], ids=["too few", "too many"])
def test_captions_that_do_not_match_the_images_are_refused(captions: tuple[str, ...]) -> None:
    said = reasons("lora_training", stored=MIA, captions=captions)
    expected = f"must be one per image or none at all: {len(captions)} captions for 7 images"
    assert said == {"request.captions": expected}


def test_the_same_image_twice_is_refused() -> None:
    said = reasons("lora_training", stored=MIA, images=(*IMAGES[:4], IMAGES[1]))
    assert said == {"request.images": "must be different images: number 5 repeats number 2"}


def test_placeholders_in_captions_become_the_trigger_word() -> None:
    given = ("{trigger}, close-up", "[trigger] smiling", "{Trigger} and { trigger }", "plain", "", "a", "b")
    [render] = planned("lora_training", captions=given, trigger_word=" mar ").renders
    assert render.captions == ("mar, close-up", "mar smiling", "mar and mar", "plain", "", "a", "b")


def test_a_caption_that_grows_too_long_with_its_trigger_word_is_refused() -> None:
    captions = ("{trigger}" * 400, *[""] * 6)
    said = reasons("lora_training", stored=MIA, captions=captions, trigger_word="m" * 100)
    assert said == {"request.captions.0": "must have at most 4000 characters with the trigger word filled in"}
