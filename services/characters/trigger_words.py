"""Captions as a trainer gets them."""

from contracts.captions import filled_in
from prompts.trigger_words import trigger_word


def with_trigger(caption: str, character_id: str) -> str:
    """A caption as the trainer gets it."""
    return filled_in(caption, trigger_word(character_id))
