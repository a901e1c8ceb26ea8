"""Captions for the trainer of a LoRA, and the trigger word in them. Needs the standard library only."""

import re

PLACEHOLDER = "{trigger}"
"""Stands in captions for the trigger word. `[trigger]` is understood as well."""

_PLACEHOLDERS = re.compile(r"\{\s*trigger\s*\}|\[\s*trigger\s*\]", re.IGNORECASE)


def fill_trigger_word(caption: str, trigger_word: str) -> str:
    """The caption with the trigger word for its placeholders; an empty one stays empty."""
    return _PLACEHOLDERS.sub(lambda _: trigger_word, caption)


def training_caption(caption: str, trigger_word: str) -> str:
    """The caption as a trainer gets it: with the trigger word, in front where it is not in it yet."""
    text = fill_trigger_word(caption, trigger_word).strip()
    if not text:
        return trigger_word
    return text if _has_word(text, trigger_word) else f"{trigger_word}, {text}"


def _has_word(text: str, word: str) -> bool:
    """Return whether a text has a word as a whole: "mar" is not in "standing in a market"."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None
