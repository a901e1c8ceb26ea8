"""The word that wakes a character's LoRA: made from its id, like no word of any language."""

import hashlib
from typing import Final

_SHARP: Final = "qvwxz"
_DULL: Final = "dghmnprt"
_SYLLABLES: Final = 4


def trigger_word(character_id: str) -> str:
    """Return the trigger word of a character: eight letters, for the same id always the same.

    There is no vowel among them and every other one is rare, so that no word, and nothing that
    reads as one, can come out; a text encoder has no opinion of it yet.
    """
    digest = hashlib.sha256(f"trigger word of {character_id}".encode()).digest()
    pairs = zip(digest[::2], digest[1::2], strict=True)
    letters = (_SHARP[one % len(_SHARP)] + _DULL[two % len(_DULL)] for one, two in pairs)
    return "".join(list(letters)[:_SYLLABLES])
