"""Decompression with an upper bound, in place of aiokafka's functions, which have none.

A few hundred kilobytes of gzip may hold hundreds of megabytes: the size is known only by unpacking, so
unpacking stops at the limit.
"""

import struct
from functools import partial
from importlib import import_module
from typing import Final, Literal

from aiokafka.codec import cramjam  # None when it is not installed
from aiokafka.errors import UnsupportedCodecError

from shared.limits import MAX_BATCH_BYTES

Codec = Literal["gzip", "snappy", "lz4", "zstd"]
CODECS: Final[dict[int, Codec]] = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
"""By the number in a batch's attributes."""

KEPT_BYTES: Final = 4096
MAX_PIECES: Final = MAX_BATCH_BYTES // 1024
"""Blocks of snappy, or members of gzip, in one batch. Producers write blocks of 32 KiB, and one member."""
_XERIAL: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES: Final = 16
_GZIP_MEMBER: Final = b"\x1f\x8b\x08"
_MODULES: Final = (
    "aiokafka.record.default_records",
    "aiokafka.record.legacy_records",
    "aiokafka.record._crecords.default_records",
    "aiokafka.record._crecords.legacy_records",
)


class Undecodable(Exception):
    """Compressed data that cannot be unpacked: `reason` for the dead letter, and its first bytes."""

    def __init__(self, reason: str, error: str, payload: bytes) -> None:
        super().__init__(error)
        self.reason = reason
        self.start = payload[:KEPT_BYTES]


def bound_codecs() -> None:
    """Make aiokafka decompress with `decompress`; harmless when repeated."""
    for name in _MODULES:
        try:
            module = import_module(name)
        except ImportError:  # no compiled extension on this platform
            continue
        for codec in CODECS.values():
            if hasattr(module, f"{codec}_decode"):
                setattr(module, f"{codec}_decode", partial(decompress, codec))


def decompress(codec: Codec, payload: bytes | memoryview, limit: int = MAX_BATCH_BYTES) -> bytes:
    """Unpack one batch's data.

    Raises:
        Undecodable: when it is more than `limit` bytes, or cannot be unpacked.
        UnsupportedCodecError: when the library for it is not installed.
    """
    if cramjam is None:
        raise UnsupportedCodecError(f"the library for {codec} is not installed")
    packed = bytes(payload)
    try:
        unpacked = _snappy(packed, limit) if codec == "snappy" else _framed(codec, packed, limit)
    except _TooLarge:
        raise Undecodable(
            "too_large",
            f"{len(packed)} bytes of {codec} unpack to more than {limit} bytes",
            packed,
        ) from None
    except (cramjam.DecompressionError, struct.error, ValueError) as error:
        raise Undecodable("corrupt_batch", f"cannot unpack {codec}: {error}", packed) from None
    return unpacked


class _TooLarge(Exception):
    pass


def _framed(codec: Codec, packed: bytes, limit: int) -> bytes:
    if codec == "gzip" and packed.count(_GZIP_MEMBER) > MAX_PIECES:
        raise ValueError(f"more than {MAX_PIECES} members")
    out = bytearray(limit + 1)  # untouched pages cost nothing
    try:
        size = getattr(cramjam, codec).decompress_into(packed, out)
    except cramjam.DecompressionError as error:
        if "whole buffer" in str(error):
            raise _TooLarge from None
        raise
    if size > limit:
        raise _TooLarge
    return bytes(memoryview(out)[:size])


def _snappy(packed: bytes, limit: int) -> bytes:
    """Unpack raw snappy, or the blocks that Java's library writes behind a header."""
    if not packed.startswith(_XERIAL):
        return _block(packed, limit)
    blocks: list[bytes] = []
    size, at = 0, _XERIAL_HEADER_BYTES
    while at < len(packed):
        (length,) = struct.unpack_from("!i", packed, at)
        at += 4
        if length <= 0 or at + length > len(packed):
            raise ValueError(f"a block of {length} bytes at {at} of {len(packed)}")
        if len(blocks) == MAX_PIECES:
            raise ValueError(f"more than {MAX_PIECES} blocks")
        blocks.append(_block(packed[at : at + length], limit - size))
        if not blocks[-1]:
            raise ValueError(f"a block without data at {at} of {len(packed)}")
        size += len(blocks[-1])
        at += length
    return b"".join(blocks)


def _block(packed: bytes, limit: int) -> bytes:
    if cramjam.snappy.decompress_raw_len(packed) > limit:
        raise _TooLarge
    return bytes(cramjam.snappy.decompress_raw(packed))
