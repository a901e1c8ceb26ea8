"""The `Retry-After` header of an answer, from providers and from webhook receivers."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import pairwise

LONGEST_SECONDS = 1e9
"""Longest pause. Callers have limits of their own."""


_NUMBER = re.compile(r"\+?[0-9]+(\.[0-9]+)?")


def retry_after(values: Iterable[str], now: datetime) -> float | None:
    """Return the most seconds from now that the header's lines name, as numbers or HTTP dates.

    Proxies add lines of their own, or join several into one with commas.
    """
    parts = [part.strip() for value in values for part in value.split(",")]
    dates = (f"{day}, {rest}" for day, rest in pairwise(parts) if day.isalpha())
    found = [_seconds(text, now) for text in (*parts, *dates)]
    return max((seconds for seconds in found if seconds is not None), default=None)


def _seconds(text: str, now: datetime) -> float | None:
    if _NUMBER.fullmatch(text):
        return min(LONGEST_SECONDS, float(text))
    if ":" not in text:
        return None
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())
