"""A trigger word is short, follows from its character's id, and is no real word."""

from prompts.adults import find_minor
from prompts.catalogue import default_catalogue
from prompts.explicit import find_explicit
from prompts.trigger_words import trigger_word
from services.characters.trigger_words import with_trigger
from shared.ids import uuid7
from tests.fakes.builders import CHARACTER

MANY = [trigger_word(uuid7()) for _ in range(3000)]


def test_it_is_fixed_by_the_id() -> None:
    assert trigger_word(CHARACTER) == trigger_word(CHARACTER) == "vpvrvhxn"
    assert len(set(MANY)) > 2980


def test_it_is_short_and_cannot_be_spoken() -> None:
    assert {len(word) for word in MANY} == {8}
    assert not set("aeiouy") & set("".join(MANY))


def test_it_is_never_explicit_and_never_a_minor() -> None:
    catalogue = default_catalogue()
    for word in MANY:
        assert find_explicit(word, catalogue.nsfw.explicit) is None
        assert find_minor(word, catalogue.underage) is None


def test_a_caption_has_it_in_place_of_its_placeholder() -> None:
    assert with_trigger("{trigger}, front view", CHARACTER) == f"{trigger_word(CHARACTER)}, front view"
    assert with_trigger("front view {x}", CHARACTER) == "front view {x}"
