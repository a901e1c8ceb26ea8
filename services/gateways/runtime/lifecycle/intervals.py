"""How long until the next try, and until the next poll. Never for all at the same moment."""

import random

LONGEST_BACKOFF = 30.0


def backoff(tries: int) -> float:
    """Seconds, with full jitter: who was turned away together does not come back together."""
    return random.uniform(0.0, min(LONGEST_BACKOFF, 0.5 * 2**tries))


def next_interval(pause: float, first: float, longest: float) -> float:
    """The pause between polls grows with each."""
    return min(longest, max(pause, first) * 1.5)


def jittered(pause: float) -> float:
    """About so long."""
    return pause * random.uniform(0.8, 1.2)
