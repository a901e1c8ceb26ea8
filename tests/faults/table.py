"""The matrix as people read it."""

from collections.abc import Iterable, Sequence

TITLES = ("provider", "what happens", "ledger", "billed", "finally said", "sent", "taken", "result")


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table, its columns aligned."""
    lines = [list(TITLES), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(TITLES))]
    lines.insert(1, ["-" * width for width in widths])
    return [
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in lines
    ]
