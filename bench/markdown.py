"""Markdown tables, and the places between markers that commands write."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

Row = Sequence[object]


def write_between_markers(page: Path, parts: Mapping[str, str]) -> None:
    """Replace the text between `<!-- NAME -->` and `<!-- /NAME -->`, for each name.

    Raises:
        LookupError: when a name has no such place, or several.
    """
    written = page.read_text()
    for name, part in parts.items():
        written, count = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda found, part=part: f"{found[1]}{part}\n{found[2]}",  # type: ignore[misc]
            written,
            flags=re.DOTALL,
        )
        if count != 1:
            raise LookupError(f"{page} has no place for {name}")
    page.write_text(written)


def table(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """Return a table, or an empty string without rows."""
    lines = [f"| {' | '.join(map(text, row))} |" for row in rows]
    return "\n".join([f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *lines]) if lines else ""


def text(value: object) -> str:
    """Format a value with three significant digits."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)
