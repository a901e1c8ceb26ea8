"""Captions as a trainer gets them."""

from typing import Final

from prompts.trigger_words import trigger_word

PLACEHOLDER: Final = "{trigger}"
"""Where a caption wants the word."""


def with_trigger(caption: str, character_id: str) -> str:
    """A caption as the trainer gets it."""
    return caption.replace(PLACEHOLDER, trigger_word(character_id))
