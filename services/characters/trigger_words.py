"""Captions with the trigger word filled in. Pure."""

from contracts.captions import fill_trigger_word
from prompts.trigger_words import trigger_word


def with_trigger(caption: str, character_id: str) -> str:
    """Return a caption with the character's trigger word in place of `{trigger}`."""
    return fill_trigger_word(caption, trigger_word(character_id))
