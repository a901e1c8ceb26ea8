"""A character in words: who it is and what it looks like, always an adult."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from contracts.characters import Appearance, Character
from prompts.adults import ADULT_AGE, NotAnAdult, age_in_years
from prompts.catalogue import Person
from prompts.folding import fold
from prompts.wording import phrase, shorten

_TRAIT_WORDS = 10
_DETAIL_WORDS = 30


@dataclass(frozen=True, slots=True)
class Described:
    """What of a character can be seen."""

    looks: tuple[str, ...]
    expression: str
    """From its personality; for pictures that ask for no other."""
    occupation: str
    """For pictures that name neither shot, clothes nor place."""


def describe(character: Character, words: Person, tidy: Callable[[str | None], str]) -> Described:
    """The character in clauses; `tidy` is applied to every text of it.

    Raises `AgeNotUnderstood`, and `NotAnAdult` for an age below 18.
    """

    def trait(text: str | None) -> str:
        return phrase(tidy(text), _TRAIT_WORDS)

    age = age_in_years(character.age)
    if age < ADULT_AGE:
        raise NotAnAdult(str(character.age))
    looks = character.appearance
    who = [f"{age}-year-old", trait(looks.ethnicity), _noun(trait(looks.gender), words)]
    details = shorten(tidy(looks.details), _DETAIL_WORDS)
    return Described(
        looks=tuple(filter(None, [_spaced(*who), *_traits(looks, words, trait), details])),
        expression=_ending(trait(character.identity.personality), "expression"),
        occupation=_ending(trait(character.identity.occupation), "by profession"),
    )


def _noun(gender: str, words: Person) -> str:
    """`female` → woman, `trans woman` → trans woman, `agender` → agender adult."""
    if not gender:
        return "adult"
    known = words.genders.get(fold(gender).text)
    if known:
        return known
    last = gender.split()[-1].lower()
    return gender if last in words.genders.values() else f"{gender} adult"


def _traits(looks: Appearance, words: Person, trait: Callable[[str | None], str]) -> Iterator[str]:
    yield _ending(trait(looks.skin_tone), "skin")
    yield _hair(trait(looks.hair_style), trait(looks.hair_color), words)
    yield _ending(trait(looks.eye_color), "eyes")
    yield _ending(trait(looks.face), "face", also=("features", "jaw", "jawline", "cheekbones"))
    yield _ending(trait(looks.body_type), "build", also=("body", "figure", "physique"))


def _hair(style: str, color: str, words: Person) -> str:
    """`long wavy` + `black` → long wavy black hair; `ponytail` + `black` → black ponytail."""
    if style and style.split()[-1].lower() in words.hair_nouns - {"hair"}:
        return _spaced(color.removesuffix(" hair"), style)
    whole = _spaced(style.removesuffix(" hair") if color else style, color)
    return _ending(whole, "hair", also=("bald", "bald head", "shaved head"))


def _ending(text: str, ending: str, also: tuple[str, ...] = ()) -> str:
    """The text with the noun it lacks: `green` → `green eyes`, `green eyes` stays."""
    if not text:
        return ""
    said = text.lower().endswith((ending, *also))
    return text if said else f"{text} {ending}"


def _spaced(*words: str) -> str:
    return " ".join(filter(None, words))
