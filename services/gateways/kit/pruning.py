"""Pruning of JSON text as it arrives: parts that exceed limits are left out.

Memory does not grow with the pruned parts, so an answer may hold other people's data of any size.
The scan follows strings and brackets only and checks nothing else: the JSON parser that reads the
kept text does that. `NaN`, which Python servers write and strict streaming parsers refuse, passes.
"""

import re
from typing import Final

TEXT_BYTES: Final = 65_536
ESCAPE: Final = len(r"\u0000")
MARKS: Final = re.compile(rb'["\\{}\[\]]')


class Pruner:
    """Keep `depth` levels of nesting, a container below them becomes `null`, and the start of long texts.

    `[1, {"a": 2}]` at depth 1 is `[1, null]`. Of a text in quotes `text_bytes` are kept, and a few more
    where that would break an escape.
    """

    def __init__(self, depth: int, text_bytes: int = TEXT_BYTES) -> None:
        self._limit = depth
        self._text_bytes = text_bytes
        self._depth = 0
        self._in_string = False
        self._is_cut = False
        """True while the rest of the current text is left out."""
        self._full_at = 0
        """Position in the current chunk where the current text has its `text_bytes`."""
        self._escape_at = -ESCAPE
        """Position in the current chunk of the last backslash that begins an escape."""

    def keep(self, chunk: bytes) -> bytes:
        """Return the part of the next chunk that is to be kept."""
        kept = bytearray()
        start = 0
        for found in MARKS.finditer(chunk):
            at, mark = found.start(), found[0]
            if self._in_string:
                kept += self._cut(chunk, start, at, after_escape=at != self._escape_at + 1)
                self._step_in_string(at, mark)
                if self._is_cut and not self._in_string:
                    start, self._is_cut = at + 1, False
            elif mark == b'"':
                self._in_string = True
                self._full_at, self._escape_at = at + 1 + self._text_bytes, at - ESCAPE
            elif mark in b"{[":
                self._depth += 1
                if self._depth == self._limit + 1:
                    kept += chunk[start:at] + b"null"
            else:
                self._depth -= 1
                if self._depth == self._limit:
                    start = at + 1
        if self._in_string:
            kept += self._cut(chunk, start, len(chunk), after_escape=False)
        self._escape_at -= len(chunk)
        self._full_at -= len(chunk)
        return bytes(kept) if self._is_cut or self._depth > self._limit else bytes(kept + chunk[start:])

    def _cut(self, chunk: bytes, start: int, at: int, *, after_escape: bool) -> bytes:
        """Return what is kept of a text that is full before `at`; nothing where it goes on.

        `after_escape`: no escape reaches over `at`. Elsewhere one is taken to have the most bytes.
        """
        if self._is_cut or self._depth > self._limit or at < self._full_at:
            return b""
        end = max(self._full_at, self._escape_at + ESCAPE)
        if end > at and not after_escape:
            return b""
        self._is_cut = True
        return chunk[start : min(end, at)] + b'"'

    def _step_in_string(self, at: int, mark: bytes) -> None:
        if at == self._escape_at + 1:
            return
        if mark == b"\\":
            self._escape_at = at
        elif mark == b'"':
            self._in_string = False
