"""Plausibility of times from clocks that may be wrong."""

from datetime import datetime, timedelta
from typing import Final

OLDEST: Final = timedelta(days=7)
"""Maximum plausible age: topics of requests keep their records for seven days."""
CLOCK_SKEW: Final = timedelta(minutes=2)
"""Maximum plausible lead of a producer's clock."""


def plausible(claimed: datetime | None, latest: datetime, skew: timedelta = timedelta(0)) -> datetime:
    """Return the claimed time, or `latest` if it is missing, older than `OLDEST` or in the future."""
    if claimed is None or not latest - OLDEST <= claimed <= latest + skew:
        return latest
    return claimed
