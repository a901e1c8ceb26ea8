"""What is valid JSON and still cannot be kept: faults of free-form objects such as workflows."""

from collections.abc import Iterable, Iterator
from typing import Any

DEEPEST = 80
"""MongoDB stores documents of at most 100 levels; a workflow lies a few levels down."""


def faults(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """What stands against storing a JSON value: (dotted path, what must be changed)."""
    message = _fault(value) if len(path) < DEEPEST else f"must not lie deeper than {DEEPEST} levels"
    if message:
        yield ".".join(path), message
        return
    for step, inner in _children(value):
        if _fault(step):
            yield ".".join(path), f"has a name that {_fault(step)}"
        else:
            yield from faults(inner, (*path, step))


def _children(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        return value.items()
    if isinstance(value, list):
        return ((str(position), inner) for position, inner in enumerate(value))
    return ()


def _fault(value: Any) -> str | None:
    if isinstance(value, str):
        if "\0" in value:
            return "must not contain the character U+0000"
        if any("\ud800" <= character <= "\udfff" for character in value):
            return "must not contain half of a surrogate pair"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "must fit into 64 bits"
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return "must be a finite number"
    return None
