"""Seeds: reproducible, one per image, all different."""

import hashlib
from typing import Final

SEEDS: Final = 2**53
"""Seeds that we choose are below this: what JSON keeps exact everywhere."""

_STEP = 0x9E3779B97F4A7C15  # odd, so that no two images of a job share a seed


def seed_from(text: str) -> int:
    """A seed that is always the same for the same text, such as a job id."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % SEEDS


def seed_of_image(base: int, index: int) -> int:
    """The seed of a job's image: the base itself for the first, far apart for the others."""
    return (base + index * _STEP) % SEEDS if index else base
