"""Captions of training images, and the trigger word in them. Uses the standard library only."""

import re

PLACEHOLDER = "{trigger}"
"""Placeholder of the trigger word in captions. `[trigger]` is accepted too."""

_PLACEHOLDERS = re.compile(r"\{\s*trigger\s*\}|\[\s*trigger\s*\]", re.IGNORECASE)


def fill_trigger_word(caption: str, trigger_word: str) -> str:
    """Replace the placeholders in a caption with the trigger word. An empty caption stays empty."""
    return _PLACEHOLDERS.sub(lambda _: trigger_word, caption)


def training_caption(caption: str, trigger_word: str) -> str:
    """Return the caption for a trainer. The trigger word is put in front if the caption lacks it."""
    text = fill_trigger_word(caption, trigger_word).strip()
    if not text:
        return trigger_word
    return text if _has_word(text, trigger_word) else f"{trigger_word}, {text}"


def _has_word(text: str, word: str) -> bool:
    """Return whether a text contains a whole word: "mar" is not in "standing in a market"."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None
