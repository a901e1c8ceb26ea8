"""A character in words: who it is and what it looks like, always an adult."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from contracts.characters import Appearance, Character
from contracts.wizard import offered_values
from prompts.adults import ADULT_AGE, NotAnAdult, age_in_years
from prompts.catalogue import Person
from prompts.normalization import normalize
from prompts.wording import clauses_of, phrase, shorten

_TRAIT_WORDS = 10
_DETAIL_WORDS = 30
_LENGTHS = offered_values(Appearance)["hair_length"]

Tidy = Callable[[str | None], str]


@dataclass(frozen=True, slots=True)
class Description:
    """Visible features of a character."""

    age: int
    noun: str
    """`Japanese woman`."""
    traits: tuple[str, ...]
    """Features that follow `with`: `green eyes`, `oval face`."""
    marks: tuple[str, ...]
    """Other visible features: `tall`, `freckles`."""
    expression: str = ""
    """Its usual one, for pictures that ask for no other."""
    dress: str = ""
    """Usual clothes, for pictures that ask for nothing else."""
    occupation: str = ""
    """For pictures that name neither shot, clothes nor place."""


def describe(character: Character, words: Person, tidy: Tidy) -> Description:
    """The character in clauses; `tidy` is applied to every text of it.

    Raises `AgeNotUnderstood`, and `NotAnAdult` for an age below 18.
    """

    def trait(text: str | None) -> str:
        return phrase(tidy(text), _TRAIT_WORDS)

    age = age_in_years(character.age)
    if age < ADULT_AGE:
        raise NotAnAdult(str(character.age))
    looks, identity = character.appearance, character.identity
    details = shorten(tidy(looks.details), _DETAIL_WORDS)
    marks = [_height(trait(looks.height)), trait(looks.facial_hair), *clauses_of(details)]
    return Description(
        age=age,
        noun=_spaced(trait(looks.ethnicity), _noun(trait(looks.gender), words)),
        traits=tuple(filter(None, _traits(looks, words, trait))),
        marks=tuple(filter(None, marks)),
        expression=trait(identity.expression) or _ending(trait(identity.personality), "expression"),
        dress=trait(identity.dress_style),
        occupation=_ending(trait(identity.occupation), "by profession"),
    )


def _noun(gender: str, words: Person) -> str:
    """`female` → woman, `trans woman` → trans woman, `agender` → agender adult."""
    if not gender:
        return "adult"
    known = words.genders.get(normalize(gender).text)
    if known:
        return known
    last = gender.split()[-1].lower()
    return gender if last in words.genders.values() else f"{gender} adult"


def _traits(looks: Appearance, words: Person, trait: Tidy) -> Iterator[str]:
    yield _ending(trait(looks.skin_tone), "skin")
    yield _hair(trait(looks.hair_length), trait(looks.hair_style), trait(looks.hair_color), words)
    yield _ending(trait(looks.eye_color), "eyes")
    yield _ending(trait(looks.face_shape), "face")
    yield _ending(trait(looks.face), "face", also=("features", "jaw", "jawline", "cheekbones", "dimples"))
    yield _ending(trait(looks.body_type), "build", also=("body", "figure", "physique"))


def _hair(length: str, style: str, color: str, words: Person) -> str:
    """`long` + `wavy` + `black` → long wavy black hair; `ponytail` + `black` → black ponytail."""
    for bare in ("bald", "shaved"):
        if bare in (length.lower(), style.lower()):
            return f"{bare} head"
    said, style = _parted(style)
    length = said or length
    color = color.removesuffix(" hair")
    if style and style.split()[-1].lower() in words.hair_nouns - {"hair"}:
        return _spaced(length, color, style)
    whole = _spaced(length, style.removesuffix("hair").strip(), color)
    return _ending(whole, "hair", also=("bald", "head"))


def _parted(style: str) -> tuple[str, str]:
    """`short curls` → short, curls: a color stands between them."""
    for length in sorted(_LENGTHS, key=len, reverse=True):
        if style.lower().startswith(f"{length} "):
            return style[: len(length)], style[len(length) + 1 :]
    return "", style


def _height(text: str) -> str:
    """`175 cm` → 175 cm tall; `petite` stays."""
    return f"{text} tall" if text and text[0].isdigit() and "tall" not in text else text


def _ending(text: str, ending: str, also: tuple[str, ...] = ()) -> str:
    """The text with the noun it lacks: `green` → `green eyes`, `green eyes` stays."""
    if not text:
        return ""
    said = text.lower().endswith((ending, *also))
    return text if said else f"{text} {ending}"


def _spaced(*words: str) -> str:
    return " ".join(filter(None, words))
