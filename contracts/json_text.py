"""JSON of callers. Numbers of any length are accepted, so that validation can name their field."""

import json
from typing import Any, Final

from pydantic_core import from_json

NOWHERE: Final = -1
"""Position of an error whose message names its place itself, or that has none."""
_MAX_DIGITS: Final = 40
"""More digits than any field accepts. Python refuses to convert numbers of more than 4300 digits."""


def loads(text: bytes | str) -> Any:
    """Parse a JSON text. Integers are cut to 41 digits, which is still too long for every field.

    Raises:
        json.JSONDecodeError: if the text is not JSON, not UTF-8, or nested too deeply. See `fault_in`.
    """
    try:
        return from_json(text)
    except ValueError:
        pass
    try:
        return _leniently(text)
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError(f"not valid UTF-8 at byte {error.start}", "", NOWHERE) from None
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", "", NOWHERE) from None


def fault_in(message: str, position: int) -> str:
    """Return the words for the message and the position of a `JSONDecodeError`."""
    return message if position == NOWHERE else f"{message} at character {position}"


def _leniently(text: bytes | str) -> Any:
    """Parse a text that the fast parser refuses: long numbers, lone surrogates, UTF-16, or no JSON.

    Numbers are converted in Python, so that other threads can run meanwhile. The parser itself would block
    them for 100 ms on 2 MB of decimal numbers.
    """
    try:
        return json.loads(text, parse_float=_real)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a number is too long; converting each integer in Python is several times slower
        return json.loads(text, parse_float=_real, parse_int=_whole)


def _real(number: str) -> float:
    return float(number)


def _whole(digits: str) -> int:
    return int(digits[: _MAX_DIGITS + 1])
