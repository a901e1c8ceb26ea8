"""The matrix as people read it: one table for each provider."""

from collections.abc import Iterable, Sequence
from itertools import groupby

TITLES = ("provider", "what happens", "ledger", "billed", "finally said", "sent", "taken", "result")


def tables(rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of Markdown tables with equal columns; rows of a provider follow each other."""
    found = [list(row) for row in rows]
    widths = [max(len(line[column]) for line in [TITLES, *found]) for column in range(len(TITLES))]
    lines: list[str] = []
    for _, group in groupby(found, key=lambda row: row[0]):
        lines += [_line(TITLES, widths), _line(["-" * width for width in widths], widths)]
        lines += [_line(row, widths) for row in group]
        lines.append("")
    return lines


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"| {' | '.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))} |"
