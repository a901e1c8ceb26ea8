"""Trigger words of LoRAs, derived from the id of the character."""

import hashlib
from typing import Final

_SHARP: Final = "qvwxz"
_DULL: Final = "dghmnprt"
_SYLLABLES: Final = 4


def trigger_word(character_id: str) -> str:
    """Return the trigger word of a character: eight letters, always the same for the same id.

    It has no vowels, and every other letter is rare. It therefore resembles no word of any language, and
    text encoders have no association with it.
    """
    digest = hashlib.sha256(f"trigger word of {character_id}".encode()).digest()
    pairs = zip(digest[::2], digest[1::2], strict=True)
    letters = (_SHARP[one % len(_SHARP)] + _DULL[two % len(_DULL)] for one, two in pairs)
    return "".join(list(letters)[:_SYLLABLES])
