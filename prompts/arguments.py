"""Validation of the arguments of the prompt builder."""

from typing import Any, Final

MAX_SEED: Final = 2**64 - 1
MAX_INDEX: Final = 10_000
_SHOWN: Final = 60
"""Maximum number of characters of a value in an error."""


class ArgumentInvalid(ValueError):
    """An argument has the wrong type or value. The text names the field and the value."""

    def __init__(self, field: str, wanted: str, value: object) -> None:
        self.field = field
        self.value = value
        super().__init__(f"{field}: must be {wanted}, got {_shown(value)}")


def text_or_none(field: str, value: Any) -> str | None:
    """Return the value if it is a text or None.

    Raises:
        ArgumentInvalid: if it is neither.
    """
    if value is None or isinstance(value, str):
        return value
    raise ArgumentInvalid(field, "a text or None", value)


def text(field: str, value: Any) -> str:
    """Return the value if it is a text.

    Raises:
        ArgumentInvalid: if it is not.
    """
    if isinstance(value, str):
        return value
    raise ArgumentInvalid(field, "a text", value)


def flag(field: str, value: Any) -> bool:
    """Return the value if it is a boolean.

    Raises:
        ArgumentInvalid: if it is not.
    """
    if isinstance(value, bool):
        return value
    raise ArgumentInvalid(field, "True or False", value)


def seed(value: Any) -> int:
    """Return the value if it is a seed from 0 to `MAX_SEED`.

    Raises:
        ArgumentInvalid: if it is not.
    """
    return _whole("seed", value, MAX_SEED, "2^64-1")


def index(value: Any) -> int:
    """Return the value if it is a position from 0 to `MAX_INDEX`.

    Raises:
        ArgumentInvalid: if it is not.
    """
    return _whole("index", value, MAX_INDEX, str(MAX_INDEX))


def _whole(field: str, value: Any, most: int, shown: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
        return value
    raise ArgumentInvalid(field, f"a whole number from 0 to {shown}", value)


def _shown(value: object) -> str:
    written = repr(value)
    return f"{written[:_SHOWN]}…" if len(written) > _SHOWN else written
