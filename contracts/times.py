"""When something happened, by clocks that may be wrong."""

from datetime import datetime, timedelta
from typing import Final

OLDEST: Final = timedelta(days=7)
"""Age beyond which a time counts as wrong: topics of requests keep their records for seven days."""
CLOCK_SKEW: Final = timedelta(minutes=2)
"""Largest lead of a producer's clock over ours before its time counts as wrong."""


def plausible(claimed: datetime | None, latest: datetime, skew: timedelta = timedelta(0)) -> datetime:
    """Return the claimed time, or `latest` when it is missing, impossibly old or in the future."""
    if claimed is None or not latest - OLDEST <= claimed <= latest + skew:
        return latest
    return claimed
