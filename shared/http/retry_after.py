"""The `Retry-After` header of an answer, from providers and from webhook receivers."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_SECONDS = 1e9
"""A longer pause is cut to this. Callers have limits of their own."""


def retry_after(value: str, now: datetime) -> float | None:
    """Return the seconds from now that a header names, as a number or as an HTTP date."""
    text = value.strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return min(LONGEST_SECONDS, float(text))
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())
