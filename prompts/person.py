"""Description of a character in words, always as an adult."""

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
    """Noun with ethnicity: `Japanese woman`."""
    traits: tuple[str, ...]
    """Features that follow `with`: `green eyes`, `oval face`."""
    marks: tuple[str, ...]
    """Other visible features: `tall`, `freckles`."""
    expression: str = ""
    """Usual expression, for images without another one."""
    dress: str = ""
    """Usual clothes, for images without other clothes."""
    occupation: str = ""
    """Occupation, for images without shot, clothes and location."""


def describe(character: Character, words: Person, tidy: Tidy) -> Description:
    """Describe a character in clauses. `tidy` is applied to every text.

    Raises:
        AgeNotUnderstood: if the age is not an age.
        NotAnAdult: if the age is below 18.
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
    """Return the noun of a gender: `female` → woman, `agender` → agender adult."""
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
    """Describe hair: `long`, `wavy`, `black` → long wavy black hair; `ponytail`, `black` → black ponytail."""
    for bare in ("bald", "shaved"):
        if bare in (length.lower(), style.lower()):
            return f"{bare} head"
    own_length, style = _parted(style)
    length = own_length or length
    color = color.removesuffix(" hair")
    if style and style.split()[-1].lower() in words.hair_nouns - {"hair"}:
        return _spaced(length, color, style)
    whole = _spaced(length, style.removesuffix("hair").strip(), color)
    return _ending(whole, "hair", also=("bald", "head"))


def _parted(style: str) -> tuple[str, str]:
    """Split the length from a hair style: `short curls` → short, curls. The color goes between them."""
    for length in sorted(_LENGTHS, key=len, reverse=True):
        if style.lower().startswith(f"{length} "):
            return style[: len(length)], style[len(length) + 1 :]
    return "", style


def _height(text: str) -> str:
    """Describe a height: `175 cm` → 175 cm tall; `petite` stays."""
    return f"{text} tall" if text and text[0].isdigit() and "tall" not in text else text


def _ending(text: str, ending: str, also: tuple[str, ...] = ()) -> str:
    """Add a missing noun: `green` → `green eyes`; `green eyes` stays."""
    if not text:
        return ""
    complete = text.lower().endswith((ending, *also))
    return text if complete else f"{text} {ending}"


def _spaced(*words: str) -> str:
    return " ".join(filter(None, words))
