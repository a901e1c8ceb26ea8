"""Reproducible seeds, different for each image of a job."""

import hashlib
from typing import Final

SEEDS: Final = 2**53
"""Upper bound of derived seeds: integers below it are exact in any JSON reader."""

_STEP = 0x9E3779B97F4A7C15  # odd, so that all images of a job have different seeds


def seed_from(text: str) -> int:
    """Derive a seed from a text such as a job id."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % SEEDS


def seed_of_image(base: int, index: int) -> int:
    """Return the seed of an image: the base for the first, distant values for the others."""
    return (base + index * _STEP) % SEEDS if index else base
