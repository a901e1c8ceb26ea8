"""What is to be seen → the words for it: prose for Flux models, weighted tags for SDXL models."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from prompts.budget import Clause, Rank, fit, tokens
from prompts.person import Described
from prompts.wording import clauses_of, length

MAX_WORDS: Final = 350
"""Of prose, as `wording.length` counts them: below the 512 tokens that Flux's T5 reads."""
WINDOW: Final = 75
"""Tokens that CLIP reads at once, beside its start and end."""
WINDOWS: Final = 2
"""Of tags; the second for the user's words where the first is full, since it counts a little less."""

_WHO, _LOOKS, _SHOT = 1.2, 1.1, 1.2
"""Weights of tags: who it is, what it looks like, how much of it the picture shows."""
_LIGHTEST, _HEAVIEST = 0.5, 1.5

_LEAD = re.compile(
    r"(?:(?:wearing|dressed in|in front of|on|in|at|among|between|beside|under)\s+)?(?:(?:an?|the)\s+)?",
    re.IGNORECASE,
)
_WEIGHTED = re.compile(r"\(\s*(?P<text>[^():]*?)\s*:\s*(?P<weight>\d?\.?\d+)\s*\)")
_WORD_END = re.compile(r"[\W_]")
_NO_ARTICLE = ("s", "hair", "skin")


@dataclass(frozen=True, slots=True)
class Picture:
    """What is to be seen, in words that are clean and allowed; commas part clauses."""

    trigger: str = ""
    who: Described | None = None
    shots: tuple[str, ...] = ()
    expression: str = ""
    outfits: tuple[str, ...] = ()
    scenes: tuple[str, ...] = ()
    occupation: str = ""
    texts: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    qualities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Worded:
    """A prompt in one dialect, and the clauses that did not fit into it."""

    text: str
    cut: tuple[str, ...] = ()


def prose(picture: Picture) -> Worded:
    """Sentences: who, how it is shown, wearing what and where, the user's words, how it is made.

    A trigger word comes first and as it is.
    """
    fitted = fit(_clauses(picture, _in_prose(picture.who)), length, MAX_WORDS)
    sentences = groupby(fitted.clauses, key=lambda clause: clause.group)
    texts = (_sentence(", ".join(clause.text for clause in said), picture.trigger) for _, said in sentences)
    return Worded(" ".join(texts), fitted.cut)


def tags(picture: Picture) -> Worded:
    """Tags in the same order, the trigger word first; what identifies the person weighs more."""
    apart = replace(picture, texts=tuple(text.replace(". ", ", ") for text in picture.texts))
    fitted = fit(_clauses(apart, _in_tags(picture.who), bare=_bare), tokens, WINDOW, WINDOWS)
    return Worded(", ".join(map(_tag, fitted.clauses)), fitted.cut)


def unweighted(tag_prompt: str) -> str:
    """A tag prompt without its weights: what CLIP reads of it."""
    plain = re.sub(r"(?<!\\)\(((?:\\.|[^()])*?):[\d.]+\)", r"\1", tag_prompt)
    return re.sub(r"\\([()])", r"\1", plain)


def _clauses(
    picture: Picture, person: Iterable[Clause], bare: Callable[[str], str] = str
) -> Iterator[Clause]:
    shown = 1 if picture.shots else 0
    yield from _led([picture.trigger], 0)
    yield from person
    yield from _led(picture.shots[:1], 1, _SHOT)
    yield from _led(picture.shots[1:], 1)
    yield from _ranked([picture.expression], shown, Rank.KEPT)
    yield from _led(map(bare, (*picture.outfits, *picture.scenes)), 2)
    yield from _ranked([picture.occupation], 0, Rank.SETTING)
    yield from map(_as_weighed, _ranked(picture.texts, 3, Rank.USER))
    yield from _led(picture.styles, 4)
    yield from _ranked(picture.qualities, 4, Rank.QUALITY)


def _ranked(texts: Iterable[str], group: int, rank: Rank) -> Iterator[Clause]:
    for text in texts:
        yield from (Clause(clause, rank, group=group) for clause in clauses_of(text))


def _led(texts: Iterable[str], group: int, weight: float = 1.0) -> Iterator[Clause]:
    """The first clause of each text is what it is about; the others may be cut."""
    for text in texts:
        first, *others = clauses_of(text) or [""]
        if first:
            yield Clause(first, Rank.KEPT, weight, group)
        yield from (Clause(other, Rank.SETTING, group=group) for other in others)


def _as_weighed(clause: Clause) -> Clause:
    """`(rain:1.3)` is how users of SDXL weigh their own words."""
    if own := _WEIGHTED.fullmatch(clause.text):
        weight = min(_HEAVIEST, max(_LIGHTEST, float(own["weight"])))
        return replace(clause, text=own["text"], weight=weight)
    return clause


def _in_prose(who: Described | None) -> Iterator[Clause]:
    """`a 27-year-old Japanese woman with long black hair and green eyes`, then other marks."""
    if who is None:
        return
    person = _article(f"{who.age}-year-old {who.noun}")
    *traits, last = map(_article, who.traits) if who.traits else [""]
    if last:
        person += f" with {', '.join(traits)} and {last}" if traits else f" with {last}"
    yield Clause(person, Rank.KEPT)
    yield from (Clause(mark, Rank.KEPT) for mark in who.marks)


def _in_tags(who: Described | None) -> Iterator[Clause]:
    if who is None:
        return
    yield Clause(who.noun, Rank.KEPT, _WHO)
    yield Clause(f"{who.age} years old", Rank.KEPT)
    yield from (Clause(trait, Rank.KEPT, _LOOKS) for trait in who.traits)
    yield from (Clause(mark, Rank.KEPT) for mark in who.marks)


def _sentence(text: str, trigger: str) -> str:
    if not trigger or not text.startswith(trigger):
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _tag(clause: Clause) -> str:
    """A tag as ComfyUI reads it: brackets are weights there, unless they are escaped."""
    text = clause.text.replace("\\", "").replace("(", r"\(").replace(")", r"\)")
    return text if clause.weight == 1.0 else f"({text}:{clause.weight:g})"


def _bare(text: str) -> str:
    """`wearing a red hat` → red hat; `on the beach` → beach."""
    return text[match.end() :] if (match := _LEAD.match(text)) else text


def _article(text: str) -> str:
    """`oval face` → an oval face; `green eyes` stays."""
    first = _WORD_END.split(text.lower(), maxsplit=1)[0]
    if text.lower().endswith(_NO_ARTICLE) or first in ("a", "an", "the"):
        return text
    vowel = first.startswith(tuple("aeiou8")) and not first.startswith(("uni", "eu", "one"))
    return f"{'an' if vowel or first in ('11', '18') else 'a'} {text}"
