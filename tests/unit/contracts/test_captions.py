"""Training captions: the trigger word replaces its placeholder and is in every caption."""

import pytest

from contracts.captions import fill_trigger_word, training_caption


@pytest.mark.parametrize(
    ("caption", "whole"),
    [
        ("", "mar"),
        ("  ", "mar"),
        ("smiling", "mar, smiling"),
        ("a photo of MAR", "a photo of MAR"),
        ("mar, größer", "mar, größer"),
        ("{trigger}, close-up", "mar, close-up"),
        ("[trigger] standing", "mar standing"),
        ("photo of [ Trigger ]", "photo of mar"),
        ("standing in a market", "mar, standing in a market"),
        ("grammar", "mar, grammar"),
        ("mar's hat", "mar's hat"),
        ("mär", "mar, mär"),
    ],
)
def test_every_caption_has_the_trigger_word_as_a_whole_word(caption: str, whole: str) -> None:
    assert training_caption(caption, "mar") == whole


@pytest.mark.parametrize("word", ["mar.x", "<mar>", r"m\\1", "+mar+", "m ar"])
def test_a_trigger_word_with_any_characters_replaces_its_placeholder(word: str) -> None:
    assert fill_trigger_word("{trigger}, x", word) == f"{word}, x"
    assert training_caption(f"a {word} b", word) == f"a {word} b"
    assert training_caption(f"a x{word}x b" if word[0].isalnum() else "a b", word).startswith(f"{word}, ")
