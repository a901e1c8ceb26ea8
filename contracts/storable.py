"""Check of free-form objects, such as workflows, for valid JSON that cannot be stored or forwarded."""

import re
from collections.abc import Iterable, Iterator
from math import isfinite
from typing import Any

from contracts.scalars import LARGEST_SEED

DEEPEST = 80
"""Maximum depth. MongoDB stores at most 100 levels, and a workflow is a few levels down."""
SMALLEST = -(2**63)
"""Smallest integer in a workflow. The largest is ComfyUI's largest seed."""
_HALF_OF_A_PAIR = re.compile("[\ud800-\udfff]")


def faults(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield the parts of a JSON value that cannot be stored: (dotted path, error text)."""
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
        if not value.isascii() and _HALF_OF_A_PAIR.search(value):
            return "must not contain a lone surrogate"
    elif isinstance(value, int) and not SMALLEST <= value <= LARGEST_SEED:
        return "must be a whole number from -2^63 to 2^64-1"
    elif isinstance(value, float) and not isfinite(value):
        return "must be a finite number"
    return None
