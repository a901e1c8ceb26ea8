"""JSON text as it arrives → the same text without what is nested deeper than a limit.

Memory does not grow with what is left out, so an answer may hold other people's data of any size.
The scan follows strings and brackets only and checks nothing else: the JSON parser that reads the
kept text does that. `NaN`, which Python servers write and strict streaming parsers refuse, passes.
"""

import re
from typing import Final

MARKS: Final = re.compile(rb'["\\{}\[\]]')


class Pruner:
    """Keep `depth` levels of nesting; a container below them becomes `null`.

    `[1, {"a": 2}]` at depth 1 is `[1, null]`.
    """

    def __init__(self, depth: int) -> None:
        self._limit = depth
        self._depth = 0
        self._in_string = False
        self._escaped_at = -1
        """Position in the current chunk of the character after a backslash."""

    def keep(self, chunk: bytes) -> bytes:
        """Return the part of the next chunk that is to be kept."""
        kept = bytearray()
        start = 0
        for found in MARKS.finditer(chunk):
            at, mark = found.start(), found[0]
            if self._in_string:
                self._step_in_string(at, mark)
            elif mark == b'"':
                self._in_string = True
            elif mark in b"{[":
                self._depth += 1
                if self._depth == self._limit + 1:
                    kept += chunk[start:at] + b"null"
            else:
                self._depth -= 1
                if self._depth == self._limit:
                    start = at + 1
        self._escaped_at -= len(chunk)
        return bytes(kept + chunk[start:]) if self._depth <= self._limit else bytes(kept)

    def _step_in_string(self, at: int, mark: bytes) -> None:
        if at == self._escaped_at:
            return
        if mark == b"\\":
            self._escaped_at = at + 1
        elif mark == b'"':
            self._in_string = False
