"""The language rules that a program can check; CONTRIBUTING.md has all of them."""

import re

OPENERS = (
    "what",
    "who",
    "whose",
    "which",
    "those",
    "so",
    "whether",
    "nothing",
    "nobody",
    "how far",
    "how often",
)
"""Words that no docstring begins with."""

SUBJECTS = ("nothing", "nobody")
"""Openers that are the subject of a sentence, and so may begin the name of a test."""

PRIVATE_WORDS = {
    r"bury|buries|buried": "expire, remove",
    r"heirs?": "successor",
    r"owes?|owed|debts?": "outbox entry",
    r"sets? aside|setting aside": "dead-letter, reject",
    r"told|said": "reported, published, notified, stated",
    r"heard|hears?": "received, observed",
    r"anew": "again",
    r"couriers?": "webhook dispatcher",
    r"wish|wishes|wished": "request, command",
    r"roll calls?": "bulk status check",
    r"strangers?": "unknown submission",
    r"late ends?": "late outcome",
    r"so long|so often": "seconds, number of times, as long as",
    r"leash": "die with the parent process",
    r"fates?": "outcome",
}
"""Private words with the field's term; matched as whole words, in any case."""

_OPENER = re.compile(rf"(?:{'|'.join(OPENERS)})\b", re.IGNORECASE)
_PRIVATE = {re.compile(rf"\b(?:{words})\b", re.IGNORECASE): term for words, term in PRIVATE_WORDS.items()}


def opener(text: str) -> str | None:
    """Return the forbidden word that the text begins with, or None."""
    found = _OPENER.match(text.lstrip())
    return found[0] if found else None


def private_words(text: str) -> list[tuple[str, str]]:
    """Return each private word of the text with the term to use instead."""
    return [(found, term) for pattern, term in _PRIVATE.items() for found in pattern.findall(text)]
