"""Prompt dialects: prose for Flux models, weighted tags for SDXL models."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from prompts.budget import Clause, Rank, fit, tokens
from prompts.person import Description
from prompts.weights import parse_weights
from prompts.wording import clauses_of, sentences_as_clauses, word_count

MAX_WORDS: Final = 350
"""Maximum length of prose, by `wording.word_count`. It stays below the 512 tokens of Flux's T5."""
WINDOW: Final = 75
"""Tokens in a window of CLIP, without its start and end tokens."""
WINDOWS: Final = 2
"""Maximum number of windows of tags. The second has less influence; only the user's text extends to it."""

_WHO, _LOOKS, _SHOT = 1.2, 1.1, 1.2
"""Weights of tags for the person, for features and for the framing."""
_LEAD = re.compile(
    r"(?:(?:wearing|dressed in|in front of|on|in|at|among|between|beside|under)\s+)?(?:(?:an?|the)\s+)?",
    re.IGNORECASE,
)
_WORD_END = re.compile(r"[\W_]")
_NO_ARTICLE = ("s", "hair", "skin")


@dataclass(frozen=True, slots=True)
class Picture:
    """Content of an image. All texts are cleaned and allowed; commas separate clauses."""

    trigger: str = ""
    who: Description | None = None
    shots: tuple[str, ...] = ()
    expression: str = ""
    outfits: tuple[str, ...] = ()
    scenes: tuple[str, ...] = ()
    occupation: str = ""
    texts: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    qualities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DialectPrompt:
    """A prompt in one dialect, and the clauses that were cut."""

    text: str
    cut: tuple[str, ...] = ()


def prose(picture: Picture) -> DialectPrompt:
    """Write a picture as sentences: person, shot, clothes and location, the user's text, style.

    A trigger word comes first and is not changed.
    """
    fitted = fit(_clauses(picture, _in_prose(picture.who)), word_count, MAX_WORDS)
    sentences = groupby(fitted.clauses, key=lambda clause: clause.group)
    texts = (_sentence(_joined(clauses, _unweighed), picture.trigger) for _, clauses in sentences)
    return DialectPrompt(" ".join(texts), fitted.cut)


def tags(picture: Picture) -> DialectPrompt:
    """Write a picture as tags in the same order. Features of the person have a higher weight."""
    apart = replace(picture, texts=tuple(map(sentences_as_clauses, picture.texts)))
    fitted = fit(_clauses(apart, _in_tags(picture.who), bare=_bare), tokens, WINDOW, WINDOWS)
    return DialectPrompt(_joined(fitted.clauses, _tag), fitted.cut)


def weight_tags(text: str) -> str:
    """Convert a text of the user to tags, with the weights of its brackets."""
    return _joined(_weighed_clauses(text, 0, Rank.USER, Rank.USER), _tag)


def strip_weights(tag_prompt: str) -> str:
    """Remove the weights from a tag prompt. The result is the text that CLIP reads."""
    plain = re.sub(r"(?<!\\)\(((?:\\.|[^()])*?):[\d.]+\)", r"\1", tag_prompt)
    return re.sub(r"\\([()])", r"\1", plain)


def _clauses(
    picture: Picture, person: Iterable[Clause], bare: Callable[[str], str] = str
) -> Iterator[Clause]:
    shown = 1 if picture.shots else 0
    yield from _as_it_is(picture.trigger)
    yield from person
    yield from _led(picture.shots[:1], 1, _SHOT)
    yield from _led(picture.shots[1:], 1)
    yield from _ranked([picture.expression], shown, Rank.KEPT)
    yield from _led(map(bare, (*picture.outfits, *picture.scenes)), 2)
    yield from _ranked([picture.occupation], 0, Rank.SETTING)
    yield from _ranked(picture.texts, 3, Rank.USER)
    yield from _led(picture.styles, 4)
    yield from _ranked(picture.qualities, 4, Rank.QUALITY)


def _ranked(texts: Iterable[str], group: int, rank: Rank) -> Iterator[Clause]:
    for text in texts:
        yield from _weighed_clauses(text, group, rank, rank)


def _led(texts: Iterable[str], group: int, weight: float = 1.0) -> Iterator[Clause]:
    """Yield the clauses of each text. The first one is never cut."""
    for text in texts:
        yield from _weighed_clauses(text, group, Rank.KEPT, Rank.SETTING, weight)


def _weighed_clauses(
    text: str, group: int, first: Rank, others: Rank, weight: float = 1.0
) -> Iterator[Clause]:
    """Yield clauses with the weights of their brackets. An unweighted first clause gets `weight`."""
    pieces = parse_weights(text)
    for at, piece in enumerate(pieces):
        leads = not any(piece.joint == ", " for piece in pieces[1 : at + 1])
        ends = at + 1 == len(pieces) or pieces[at + 1].joint == ", "
        yield Clause(
            piece.text,
            first if leads else others,
            weight if leads and piece.weight == 1 else piece.weight,
            group,
            piece.joint,
            whole=piece.joint == ", " and ends,
        )


def _as_it_is(word: str) -> Iterator[Clause]:
    yield from (Clause(clause, Rank.KEPT) for clause in clauses_of(word))


def _in_prose(who: Description | None) -> Iterator[Clause]:
    """Yield `a 27-year-old Japanese woman with long black hair and green eyes`, then other marks."""
    if who is None:
        return
    person = _article(f"{who.age}-year-old {who.noun}")
    *traits, last = map(_article, who.traits) if who.traits else [""]
    if last:
        person += f" with {', '.join(traits)} and {last}" if traits else f" with {last}"
    yield Clause(person, Rank.KEPT)
    yield from (Clause(mark, Rank.KEPT) for mark in who.marks)


def _in_tags(who: Description | None) -> Iterator[Clause]:
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


def _joined(clauses: Iterable[Clause], worded: Callable[[str, float], str]) -> str:
    text = "".join(f"{clause.joint}{worded(clause.text, clause.weight)}" for clause in clauses)
    return text.removeprefix(", ").strip()


def _unweighed(text: str, weight: float) -> str:
    """Return the text without its weight."""
    return text


def _tag(text: str, weight: float) -> str:
    """Format a tag for ComfyUI, which reads unescaped brackets as weights."""
    text = text.replace("\\", "").replace("(", r"\(").replace(")", r"\)")
    return text if weight == 1.0 else f"({text}:{weight:g})"


def _bare(text: str) -> str:
    """Remove the introduction of a phrase: `wearing a red hat` → red hat; `on the beach` → beach."""
    return text[match.end() :] if (match := _LEAD.match(text)) else text


def _article(text: str) -> str:
    """Add an article where one is needed: `oval face` → an oval face; `green eyes` stays."""
    first = _WORD_END.split(text.lower(), maxsplit=1)[0]
    if text.lower().endswith(_NO_ARTICLE) or first in ("a", "an", "the"):
        return text
    vowel = first.startswith(tuple("aeiou8")) and not first.startswith(("uni", "eu", "one"))
    return f"{'an' if vowel or first in ('11', '18') else 'a'} {text}"
