"""Captions as a trainer gets them."""

from contracts.captions import fill_trigger_word
from prompts.trigger_words import trigger_word


def with_trigger(caption: str, character_id: str) -> str:
    """A caption as the trainer gets it."""
    return fill_trigger_word(caption, trigger_word(character_id))
