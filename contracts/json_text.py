"""JSON texts of callers: a number of any length is a number, so that its field can be named."""

import json
from typing import Any, Final

from pydantic_core import from_json

_MAX_DIGITS: Final = 40
"""More digits than any field accepts. Python refuses to convert more than 4300, and with them the text."""


def loads(text: bytes | str) -> Any:
    """Parse a JSON text; a whole number too long for every field is cut, and still too long.

    Raises:
        ValueError: when it is not JSON.
    """
    try:
        return from_json(text)
    except ValueError:
        return _leniently(text)


def _leniently(text: bytes | str) -> Any:
    """Parse a text that the fast parser refuses: long numbers, half surrogates, UTF-16, or no JSON.

    Numbers are converted by functions of ours, so that other threads run meanwhile: the parser itself
    keeps them waiting for 100 ms when 2 MB are numbers with decimals.
    """
    try:
        return json.loads(text, parse_float=_real)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a number; a function of ours for each number takes several times as long
        return json.loads(text, parse_float=_real, parse_int=_whole)


def _real(number: str) -> float:
    return float(number)


def _whole(digits: str) -> int:
    return int(digits[: _MAX_DIGITS + 1])
