"""The clock of the platform. Only this module reads the system time."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def now() -> datetime:
    """Return the time in UTC, truncated to milliseconds as MongoDB and our messages store it."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)
