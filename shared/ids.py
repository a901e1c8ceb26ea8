"""Ids that sort by time (RFC 9562, version 7)."""

import secrets
import time
from uuid import UUID


def uuid7() -> str:
    """Return a new UUIDv7: 48 bits of milliseconds, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | secrets.randbits(80)
    value = value & ~(0xF << 76) | (0x7 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    return str(UUID(int=value))
