"""The builder as a library: its steps, and the safety of its prompts."""

from collections.abc import Callable

import pytest

from contracts.characters import Character
from prompts.adults import AgeNotUnderstood, NotAnAdult
from prompts.arguments import ArgumentInvalid
from prompts.builder import Prompt, PromptBuilder
from prompts.catalogue import default_catalogue
from prompts.dialects import MAX_WORDS
from prompts.seeds import SEEDS, seed_from
from prompts.wording import word_count
from tests.unit.prompts.examples import JOB, MIA

SAFETY = ("nsfw", "nude", "naked")


def test_all_steps_give_one_readable_prompt() -> None:
    prompt = (
        PromptBuilder()
        .add_character(MIA)
        .add_shot("half-body shot", expression="laughing")
        .add_outfit("swimsuit")
        .add_scene("beach")
        .add_text("volleyball in her hands")
        .add_style("photorealistic")
        .add_quality("high")
        .build()
    )
    assert prompt.prompt == (
        "A 27-year-old Japanese woman with long wavy black hair and green eyes, freckles."
        " Half-body shot, laughing."
        " Wearing a classic one-piece swimsuit, on a sandy beach, turquoise water, gentle waves,"
        " warm sunlight."
        " Volleyball in her hands."
        " Photorealistic photograph, natural skin texture, 85mm lens, soft natural light, high quality,"
        " sharp focus, fine detail."
    )
    assert prompt.tag_prompt == (
        "(Japanese woman:1.2), 27 years old, (long wavy black hair:1.1), (green eyes:1.1), freckles,"
        " (half-body shot:1.2), laughing, classic one-piece swimsuit, sandy beach, turquoise water,"
        " gentle waves, warm sunlight, volleyball in her hands, photorealistic photograph,"
        " natural skin texture, 85mm lens"
    )
    assert prompt.negative_prompt == (
        "child, teenager, underage, nsfw, nude, naked, explicit content, exposed breasts, genitals,"
        " painting, drawing, 3d render, cartoon, plastic skin, blurry, low quality, jpeg artifacts,"
        " deformed, bad anatomy, extra fingers, extra limbs, watermark, text, logo"
    )


def test_the_order_of_the_steps_does_not_matter() -> None:
    one = PromptBuilder().add_scene("beach").add_character(MIA).add_quality("high").add_style("anime")
    other = PromptBuilder().add_style("anime").add_quality("high").add_character(MIA).add_scene("beach")
    assert one.build() == other.build()


def test_a_step_does_not_change_its_builder() -> None:
    start = PromptBuilder().add_character(MIA)
    before = start.build()
    start.add_scene("beach").add_text("with a dog").allow_nsfw().with_seed(1).for_image(3).build()
    assert start.build() == before


def test_unknown_names_are_used_unchanged() -> None:
    prompt = (
        PromptBuilder()
        .add_scene("at the docks of Porto")
        .add_outfit("a yellow raincoat")
        .add_style("risograph print")
        .add_quality("museum grade")
        .build()
    )
    assert prompt.prompt == (
        "Wearing a yellow raincoat, at the docks of Porto. Risograph print, museum grade."
    )


@pytest.mark.parametrize("spelled", ["sunset-beach", "Sunset Beach", "SUNSET_BEACH", "  sunset  beach "])
def test_known_names_are_found_in_any_spelling(spelled: str) -> None:
    assert PromptBuilder().add_scene(spelled).build().prompt.startswith("On a beach at sunset")


def test_a_prompt_has_no_duplicates_and_no_stray_commas() -> None:
    text = "sharp focus,, , Sharp Focus,\nrain ,;, RAIN,"
    prompt = PromptBuilder().add_text(text).add_quality("ultra").build().prompt
    assert prompt == "Sharp focus, rain. Best quality, 8k, intricate detail, professional colour grading."


def test_empty_steps_give_no_text() -> None:
    empty = PromptBuilder().add_scene(None).add_outfit("").add_text(" , ").add_trigger(None)
    assert empty.build().prompt == ""


def test_invisible_characters_do_not_reach_the_prompt() -> None:
    assert PromptBuilder().add_text("a\u200b red\u00ad hat\ufeff").build().prompt == "A red hat."


def test_the_trigger_word_comes_first() -> None:
    prompt = PromptBuilder().add_character(MIA).add_scene("beach").add_trigger("mia_tok").build()
    assert prompt.prompt.startswith("mia_tok, a 27-year-old")


def test_a_long_text_is_cut_after_a_clause_and_the_main_clauses_stay() -> None:
    text = ", ".join(f"clause number {index} of a very long text" for index in range(80))
    builder = PromptBuilder().add_trigger("mia_tok").add_character(MIA).add_text(text)
    prompt = builder.add_style("photorealistic").add_quality("high").build().prompt
    assert word_count(prompt) <= MAX_WORDS
    assert prompt.startswith("mia_tok, a 27-year-old")
    assert ", clause number 12 of a very long text, " in prompt
    assert prompt.endswith(" of a very long text. Photorealistic photograph.")


def test_a_person_is_described_as_an_adult() -> None:
    prompt = PromptBuilder().add_text("Girls and a boy in the girl's garden, girlfriend").build().prompt
    assert prompt == "Women and a man in the woman's garden, girlfriend."


def test_explicit_words_are_moved_to_the_negative_prompt() -> None:
    prompt = PromptBuilder().add_text("a topless woman on a chair").add_outfit("nude").build()
    assert prompt.prompt == "A woman on a chair."
    assert "topless" in prompt.negative_prompt
    assert all(word in prompt.negative_prompt for word in SAFETY)
    assert set(prompt.removed) == {"topless", "nude"}


def test_explicit_words_stay_if_they_are_allowed() -> None:
    prompt = PromptBuilder().add_text("a topless woman").add_scene("beach").allow_nsfw().build()
    assert prompt.prompt.startswith("On a secluded nude beach")
    assert prompt.prompt.endswith("A topless woman.")
    assert not any(word in prompt.negative_prompt for word in SAFETY)
    assert prompt.nsfw_allowed


def test_an_explicit_word_across_fields_is_found() -> None:
    builder = PromptBuilder().add_scene("n").add_text("u").add_style("d").add_quality("e")
    assert builder.build().prompt == ""


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def test_explicit_wording_of_the_catalogue_requires_permission() -> None:
    catalogue = default_catalogue()
    for name, entry in catalogue.outfits.items():
        said = PromptBuilder().add_outfit(name).build().prompt
        allowed = PromptBuilder().add_outfit(name).allow_nsfw().build().prompt
        assert said == _sentence(entry.text)
        assert allowed == _sentence(entry.nsfw or entry.text)


def test_a_negative_prompt_cannot_exclude_clothes() -> None:
    prompt = PromptBuilder().add_negative("clothes, bikini, hats, adults, grown-ups").build()
    assert ", genitals, hats, deformed, " in prompt.negative_prompt
    assert "clothes" not in prompt.negative_prompt
    assert "adult" not in prompt.negative_prompt


def test_a_negative_prompt_may_exclude_clothes_with_permission_but_never_adults() -> None:
    prompt = PromptBuilder().allow_nsfw().add_negative("clothes, adult, hats").build()
    assert prompt.negative_prompt.startswith("child, teenager, underage, clothes, hats, deformed")


def test_a_disguised_word_of_the_caller_does_not_replace_a_safety_word() -> None:
    negative = PromptBuilder().add_negative("nüde, NÁKED, çhild").build().negative_prompt.split(", ")
    assert {"nude", "naked", "child"} < set(negative)


def test_the_first_image_has_the_base_seed_and_each_other_its_own() -> None:
    builder = PromptBuilder().with_seed(42)
    seeds = [builder.for_image(index).build().seed for index in range(4)]
    assert seeds == [42, 6607762075843647, 4208324896946260, 1808887718048873]


def test_the_seed_is_derived_from_the_job_unless_it_is_set() -> None:
    assert PromptBuilder().for_job(JOB).build().seed == seed_from(JOB) < SEEDS
    assert PromptBuilder().with_seed(7).for_job(JOB).build().seed == 7
    assert PromptBuilder().for_job(JOB).with_seed(7).build().seed == 7


def test_equal_prompts_without_job_and_seed_have_equal_seeds() -> None:
    one, same, other = (PromptBuilder().add_scene(scene).build() for scene in ("beach", "Beach", "snow"))
    assert one.seed == same.seed != other.seed


@pytest.mark.parametrize("age", [17, "seventeen", "late teens"])
def test_a_character_below_18_is_refused(age: int | str) -> None:
    with pytest.raises(NotAnAdult):
        PromptBuilder().add_character(Character(name="Lea", age=age)).build()


def test_a_character_without_a_readable_age_is_refused() -> None:
    with pytest.raises(AgeNotUnderstood):
        PromptBuilder().add_character(Character(name="Lea", age="unknown")).build()


def test_a_person_below_18_across_fields_is_refused() -> None:
    with pytest.raises(NotAnAdult):
        PromptBuilder().add_scene("16").add_text("years old").build()


def test_a_prompt_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        PromptBuilder().build().prompt = "other"  # type: ignore[misc]
    assert Prompt("a", "b", 1).nsfw_allowed is False


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda builder: builder.add_scene(5), "scene: must be a text or None, got 5"),
        (lambda builder: builder.add_text(["a"]), "text: must be a text or None, got ['a']"),
        (lambda builder: builder.add_outfit(b"hat"), "outfit: must be a text or None, got b'hat'"),
        (lambda builder: builder.add_shot("close-up", 2), "shot: must be a text, got 2"),
        (lambda builder: builder.allow_nsfw("no"), "nsfw: must be True or False, got 'no'"),
        (lambda builder: builder.with_seed(-1), "seed: must be a whole number from 0 to 2^64-1, got -1"),
        (lambda builder: builder.with_seed(2**64), "got 18446744073709551616"),
        (lambda builder: builder.with_seed(1.5), "seed: must be a whole number from 0 to 2^64-1, got 1.5"),
        (lambda builder: builder.with_seed(True), "seed: must be a whole number from 0 to 2^64-1, got True"),
        (lambda builder: builder.for_image(-1), "index: must be a whole number from 0 to 10000, got -1"),
        (lambda builder: builder.for_job(None), "job_id: must be a text, got None"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_its_field_and_value(
    step: Callable[[PromptBuilder], object], message: str
) -> None:
    with pytest.raises(ArgumentInvalid) as refused:
        step(PromptBuilder())
    assert message in str(refused.value)


def test_the_largest_seed_is_taken_as_it_is() -> None:
    assert PromptBuilder().with_seed(2**64 - 1).build().seed == 2**64 - 1
