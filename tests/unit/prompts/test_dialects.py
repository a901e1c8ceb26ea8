"""One picture in two dialects."""

import re

import pytest

from prompts.budget import tokens
from prompts.builder import Prompt, PromptBuilder
from prompts.dialects import WINDOW, WINDOWS, strip_weights
from tests.unit.prompts.examples import MIA


def _built(text: str | None = None, **steps: str) -> Prompt:
    builder = PromptBuilder().add_character(MIA).add_text(text)
    return builder.add_scene(steps.get("scene")).add_trigger(steps.get("trigger")).build()


def test_both_dialects_start_with_the_unchanged_trigger_word() -> None:
    prompt = _built(trigger="mia_tok")
    assert prompt.prompt.startswith("mia_tok, a 27-year-old Japanese woman with ")
    assert prompt.tag_prompt.startswith("mia_tok, (Japanese woman:1.2), 27 years old, ")


def test_prose_is_sentences_and_tags_are_not() -> None:
    prompt = _built("rain", scene="snow")
    assert re.fullmatch(r"([A-Z][^.]*\. )*[A-Z][^.]*\.", prompt.prompt)
    assert "snowy landscape, falling snowflakes, pale winter light, rain" in prompt.tag_prompt
    assert "in a snowy" not in prompt.tag_prompt


def test_escaped_brackets_of_the_user_are_not_weights() -> None:
    prompt = _built(r"a house \(old\)")
    assert r"a house \(old\)" in prompt.tag_prompt
    assert "A house (old)." in prompt.prompt
    assert "a house (old)" in strip_weights(prompt.tag_prompt)


def test_a_backslash_cannot_undo_the_escape() -> None:
    assert r"\\" not in _built("a \\(b\\) c").tag_prompt


@pytest.mark.parametrize(
    ("said", "tag", "words"),
    [
        ("(rain:1.3)", "(rain:1.3)", "Rain."),
        ("( heavy rain : 1.1 )", "(heavy rain:1.1)", "Heavy rain."),
        ("(rain:9)", "(rain:1.5)", "Rain."),
        ("(rain:0.1)", "(rain:0.5)", "Rain."),
        ("(rain:1)", "rain", "Rain."),
    ],
)
def test_weights_of_the_user_are_kept_in_tags_and_removed_from_prose(said: str, tag: str, words: str) -> None:
    prompt = PromptBuilder().add_text(said).build()
    assert (prompt.tag_prompt, prompt.prompt) == (tag, words)


def test_references_to_other_loras_are_removed() -> None:
    prompt = _built("a red hat <lora:other:0.8>, <lyco:x:1>")
    assert "lora" not in prompt.prompt + prompt.tag_prompt
    assert "A red hat." in prompt.prompt


def test_an_explicit_word_that_only_tags_would_spell_removes_the_tags() -> None:
    """Without the function words of the prose the tags are `n, u, d, e`. All models get the prose."""
    prompt = PromptBuilder().add_outfit("wearing a n").add_scene("on a u").add_text("d, e").build()
    assert prompt.prompt == "Wearing a n, on a u. D, e."
    assert prompt.tag_prompt == ""


def test_a_long_text_of_the_user_fills_both_windows_and_no_more() -> None:
    prompt = _built(", ".join(f"wish number {n}" for n in range(60)), trigger="mia_tok", scene="beach")
    count = tokens(strip_weights(prompt.tag_prompt))
    assert WINDOW < count <= WINDOW * WINDOWS
    assert "sandy beach" in prompt.tag_prompt
    assert prompt.tag_prompt.endswith("wish number 24")
    assert "wish number 59" in prompt.cut_tags


def test_quality_terms_stay_within_the_first_window() -> None:
    builder = PromptBuilder().add_character(MIA).add_style("photorealistic").add_quality("ultra")
    prompt = builder.add_scene("beach").add_outfit("swimsuit").build()
    assert tokens(strip_weights(prompt.tag_prompt)) <= WINDOW
    assert prompt.cut_tags
