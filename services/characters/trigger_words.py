"""The word that wakes a character's LoRA: made from its id, like no word of any language."""

import hashlib
from typing import Final

_SHARP: Final = "qvwxz"
_DULL: Final = "dghmnprt"
_SYLLABLES: Final = 4

PLACEHOLDER: Final = "{trigger}"
"""Where a caption wants the word."""


def trigger_word(character_id: str) -> str:
    """Eight letters, for the same id always the same.

    There is no vowel among them and every other one is rare, so that no word, and nothing that
    reads as one, can come out; a text encoder has no opinion of it yet.
    """
    digest = hashlib.sha256(f"trigger word of {character_id}".encode()).digest()
    pairs = zip(digest[::2], digest[1::2], strict=True)
    letters = (_SHARP[one % len(_SHARP)] + _DULL[two % len(_DULL)] for one, two in pairs)
    return "".join(list(letters)[:_SYLLABLES])


def with_trigger(caption: str, character_id: str) -> str:
    """A caption as the trainer gets it."""
    return caption.replace(PLACEHOLDER, trigger_word(character_id))
