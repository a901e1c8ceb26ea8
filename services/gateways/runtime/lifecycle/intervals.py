"""Intervals between tries and polls, spread at random so that attempts do not act at the same moment."""

from services.gateways.runtime.lifecycle.decisions import Wait

MAX_BACKOFF = 30.0


def after(seconds: float) -> Wait:
    """Wait for an exact time."""
    return Wait(seconds, seconds)


def backoff(tries: int, *, at_least: float, at_most: float) -> Wait:
    """Wait with exponential backoff and full jitter."""
    latest = at_least + min(MAX_BACKOFF, 0.5 * 2**tries)
    return Wait(min(at_least, at_most), min(latest, at_most))


def next_interval(interval: float, first: float, longest: float) -> float:
    """Return the interval after this one: polls become rarer."""
    return min(longest, max(interval, first) * 1.5)


def jittered(interval: float) -> Wait:
    """Wait for about this time."""
    return Wait(0.8 * interval, 1.2 * interval)
