"""JSON texts of callers: a number of any length is a number, so that its field can be named."""

import json
from typing import Any, Final

_MAX_DIGITS: Final = 40
"""More digits than any field accepts. Python refuses to convert more than 4300, and with them the text."""


def loads(text: bytes | str) -> Any:
    """Parse a JSON text; a whole number too long for every field is cut, and still too long.

    Raises:
        ValueError: when it is not JSON.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a number; a function of ours for each number takes several times as long
        return json.loads(text, parse_int=_whole)


def _whole(digits: str) -> int:
    return int(digits[: _MAX_DIGITS + 1])
