"""Weights of the user's words by brackets, as in ComfyUI and A1111."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompts.budget import tokens
from prompts.builder import PromptBuilder
from prompts.dialects import WINDOW, WINDOWS, strip_weights
from prompts.weights import parse_weights, split_clauses
from prompts.wording import clean


@pytest.mark.parametrize(
    ("said", "tags", "prose"),
    [
        ("((masterpiece))", "(masterpiece:1.21)", "Masterpiece."),
        ("(((masterpiece)))", "(masterpiece:1.331)", "Masterpiece."),
        ("(heavy rain, (fog:1.2):1.4)", "(heavy rain:1.4), (fog:1.68)", "Heavy rain, fog."),
        ("[word]", "(word:0.909)", "Word."),
        ("(rain:1.)", "rain", "Rain."),
        ("(fog:-1)", "(fog:0.5)", "Fog."),
        ("(sun:+1.3)", "(sun:1.3)", "Sun."),
        ("([word])", "word", "Word."),
        (r"a house \(old\)", r"a house \(old\)", "A house (old)."),
        ("a house (old) by the lake", "a house (old:1.1) by the lake", "A house old by the lake."),
        ("a (red:1.2)-haired woman", "a (red:1.2)-haired woman", "A red-haired woman."),
        ("U.S. flag", "U.S. flag", "U.S. flag."),
        ("flag of the U.S., at night", "flag of the U.S., at night", "Flag of the U.S., at night."),
        ("Dr. Who in St. Moritz. Snow", "Dr. Who in St. Moritz, Snow", "Dr. Who in St. Moritz. Snow."),
        ("lens f/1.8, v1.5", "lens f/1.8, v1.5", "Lens f/1.8, v1.5."),
        ("(rain", "rain", "Rain."),
        ("rain)), fog", "rain, fog", "Rain, fog."),
        ("(rain], (fog:1.2)", "rain], (fog:1.2)", None),
        ("(, ), rain", "rain", "Rain."),
        ("fog[rain", "fog rain", "Fog rain."),
        ("fog)rain", "fog rain", "Fog rain."),
        ("rain. (fog:1.2). snow", "rain, (fog:1.2), snow", "Rain. fog. snow."),
        ("[rain:fog:0.5]", "fog", "Fog."),
        ("[[rain]:fog:0.5] pier", "fog pier", "Fog pier."),
        ("[x:0.5]", "x", "X."),
        ("[rain::0.5]", "rain", "Rain."),
        ("[rain|snow] pier", "rain pier", "Rain pier."),
        ("(rain:1.3", "rain", "Rain."),
        ("rain:1.3)", "rain", "Rain."),
        ("(rain:1,3)", "(rain:1.3)", "Rain."),
        ("(rain:)", "(rain:1.1)", "Rain."),
        ("a (b [c:1.2] d:1.3) e", "a (b c d:1.3) e", "A b c d e."),
        ("（rain：1.3）", "(rain:1.3)", "Rain."),
        ("（rain：１，３）", "(rain:1.3)", "Rain."),
        ("< lora : x : 1 > rain", "rain", "Rain."),
        ("<lora:x, rain", "rain", "Rain."),
        ("(at 5:30)", "(at 5:30:1.1)", "At 5:30."),
        ("(size 3:1.2)", "(size 3:1.2)", "Size 3."),
    ],
)
def test_brackets_mean_what_users_of_comfyui_and_a1111_expect(
    said: str, tags: str, prose: str | None
) -> None:
    prompt = PromptBuilder().add_text(said).build()
    assert prompt.tag_prompt == tags.replace("]", "")
    assert prose is None or prompt.prompt == prose


@pytest.mark.parametrize(
    "text",
    [
        *("Ph.D. gown", "J. R. R. Tolkien", "Sgt. Pepper", "Lt. Uhura costume", "Jan. 5 rain", "fig. 3"),
        *("Inc. sign", "vol. 2 book", "Acme Inc. sign", "no. 5 perfume", "9 a.m. light", "St. Moritz"),
    ],
)
def test_an_abbreviation_ends_no_clause(text: str) -> None:
    assert PromptBuilder().add_text(text).build().tag_prompt == text


def test_a_short_word_before_a_new_sentence_is_no_abbreviation() -> None:
    prompt = PromptBuilder().add_text("She says no. Rain in dec. Snow").build()
    assert prompt.tag_prompt == "She says no, Rain in dec, Snow"


def test_scenes_outfits_and_negative_prompts_may_have_weights() -> None:
    builder = (
        PromptBuilder().add_scene("((pier)), fog").add_outfit("(red dress:1.3)").add_negative("(([cars]))")
    )
    prompt = builder.build()
    assert prompt.tag_prompt == "(red dress:1.3), (pier:1.21), fog"
    assert prompt.prompt == "Wearing red dress, pier, fog."
    assert "(cars:1.1)" in prompt.negative_prompt


def test_a_long_text_in_brackets_is_cut_with_its_brackets_closed() -> None:
    prompt = PromptBuilder().add_text(f"((({'a very long wish, ' * 3}{'of many words ' * 200})))").build()
    assert _is_balanced(prompt.tag_prompt)
    assert "(a very long wish:1.331)" in prompt.tag_prompt
    long = PromptBuilder().add_negative(f"({'no ' * 400}:1.4)").build()
    assert _is_balanced(long.negative_prompt)


def test_deep_brackets_are_parsed_fast() -> None:
    start = time.process_time()
    for text in ("[" * 20_000, "[a " * 10_000, "[ [a] " * 5_000, "<lora:a:1" * 4_000, "（a：1" * 5_000):
        clean(text)
    for text in ("(" * 20_000, "(" * 10_000 + "a" + ")" * 10_000, "(a:1.2" * 5_000, "(a)," * 5_000):
        parse_weights(text)
        split_clauses(text)
    assert time.process_time() - start < 3


_marks = st.sampled_from(["(", "((", ")", "))", "[", "]", ":1.2)", ":0.3)", "\\(", "\\)", ":", ", ", ". "])
_words = st.sampled_from(["rain", "fog", "a red hat", "U.S.", "1.5", "light"])
texts = st.lists(st.one_of(_marks, _words, _words), max_size=30).map("".join)


@given(texts)
def test_tags_are_balanced_and_every_word_has_a_bounded_weight(text: str) -> None:
    prompt = PromptBuilder().add_text(text).build()
    assert _is_balanced(prompt.tag_prompt)
    assert all(0.25 <= piece.weight <= 2 for piece in parse_weights(text))
    words = re.findall(r"[a-z]+", text.lower())
    if not prompt.cut_tags and len(set(words)) == len(words):
        assert re.findall(r"[a-z]+", prompt.tag_prompt.lower()) == words


@given(texts)
def test_prose_has_only_the_brackets_that_were_escaped(text: str) -> None:
    prose = PromptBuilder().add_text(text.replace("\\", "")).build().prompt
    assert not set(prose) & set("()[]")


@given(st.lists(texts, max_size=12).map(", ".join))
def test_weighted_tags_are_within_the_budget(text: str) -> None:
    prompt = PromptBuilder().add_text(text).build()
    assert tokens(strip_weights(prompt.tag_prompt)) <= WINDOW * WINDOWS


def _is_balanced(tags: str) -> bool:
    """Return whether all unescaped brackets have the form `(text:number)` and are not nested."""
    plain = re.sub(r"\\[()]", "", tags)
    return not set(re.sub(r"\([^()]+:\d\.?\d*\)", "", plain)) & set("()")
