"""The corpus and its misclassified sentences."""

from functools import cache
from pathlib import Path
from typing import Final

import yaml

from prompts.adults import find_minor

VERDICTS: Final = ("refused", "accepted")
PARTS: Final = ("tuning", "held_out", "fresh", "kinds")


@cache
def sentences(verdict: str) -> dict[str, dict[str, list[str]]]:
    """Return the sentences by language and part."""
    text = (Path(__file__).parent / f"{verdict}.yaml").read_text(encoding="utf-8")
    found: dict[str, dict[str, list[str]]] = yaml.safe_load(text)
    return found


@cache
def ideas() -> dict[str, dict[str, str]]:
    """Return one harmless sentence per language for each idea."""
    text = (Path(__file__).parent / "ideas.yaml").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = yaml.safe_load(text)
    return found


@cache
def wrong(verdict: str, part: str) -> tuple[tuple[str, str], ...]:
    """Return language and text of each misclassified sentence."""
    return tuple(
        (code, text)
        for code, parts in sentences(verdict).items()
        for text in parts.get(part, ())
        if (find_minor(text) is not None) != (verdict == "refused")
    )
