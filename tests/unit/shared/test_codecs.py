"""Decompression stops at a limit, whatever the codec; aiokafka uses it everywhere."""

import gzip
import subprocess
import sys
import time
import zlib

import cramjam
import pytest

from shared.kafka.codecs import Codec, Undecodable, decompress
from tests.fakes.log import a_batch, changed

MIB = 1024 * 1024

BOMB = """
import resource, sys
sys.path.insert(0, ".")
from shared.kafka.codecs import Undecodable, bound_codecs
bound_codecs()
from aiokafka.record.memory_records import MemoryRecords
raw = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
batch = MemoryRecords(raw).next_batch()
assert batch.validate_crc()
try:
    list(batch)
except Undecodable as error:
    print(error.reason, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def _packed(codec: str, data: bytes) -> bytes:
    if codec == "snappy":
        return bytes(cramjam.snappy.compress_raw(data))
    return bytes(getattr(cramjam, codec).compress(data))


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_data_up_to_the_limit_is_unpacked_and_one_byte_more_is_not(codec: Codec) -> None:
    assert decompress(codec, _packed(codec, b"a" * 1000), limit=1000) == b"a" * 1000
    with pytest.raises(Undecodable, match="more than 1000 bytes") as refused:
        decompress(codec, _packed(codec, b"a" * 1001), limit=1000)
    assert refused.value.reason == "too_large"


def test_a_gzip_of_several_members_is_one_text() -> None:
    assert decompress("gzip", gzip.compress(b"one ") + gzip.compress(b"two")) == b"one two"


def test_snappy_in_blocks_is_bounded_as_a_whole() -> None:
    block = _packed("snappy", b"a" * 600)
    framed = b"\x82SNAPPY\x00" + bytes(8) + 2 * (len(block).to_bytes(4, "big") + block)
    assert decompress("snappy", framed, limit=1200) == b"a" * 1200
    with pytest.raises(Undecodable, match="more than 1199 bytes"):
        decompress("snappy", framed, limit=1199)


HEADER = b"\x82SNAPPY\x00" + bytes(8)


@pytest.mark.parametrize(
    ("codec", "packed"),
    [
        ("snappy", HEADER + 1_600_000 * b"\x00\x00\x00\x01\x00"),
        ("snappy", HEADER + 700_000 * b"\x00\x00\x00\x03\x01\x00a"),
        ("gzip", 400_000 * gzip.compress(b"")),
        ("gzip", 360_000 * gzip.compress(b"a")),
    ],
    ids=["empty blocks", "blocks of one byte", "empty members", "members of one byte"],
)
def test_a_batch_in_very_many_pieces_costs_little(codec: Codec, packed: bytes) -> None:
    started = time.process_time()
    with pytest.raises(Undecodable) as refused:
        decompress(codec, packed)
    assert refused.value.reason == "corrupt_batch"
    assert time.process_time() - started < 0.5, "a small part of what all pieces would take"


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("data", [b"", b"\x09", b"\xff" * 40])
def test_nonsense_is_named_as_such(codec: Codec, data: bytes) -> None:
    with pytest.raises(Undecodable) as refused:
        decompress(codec, data)
    assert refused.value.reason in ("corrupt_batch", "too_large")


def test_a_record_of_300_megabytes_in_a_gzip_of_some_kilobytes_takes_little_memory() -> None:
    packer, chunk = zlib.compressobj(9, zlib.DEFLATED, 31), b"a" * 1000 * 1000
    packed = b"".join(packer.compress(chunk) for _ in range(300)) + packer.flush()
    bomb = changed(a_batch(b"x", codec="gzip"), body=packed)
    assert len(bomb) < MIB
    ran = subprocess.run([sys.executable, "-c", BOMB], input=bomb, capture_output=True, check=True)
    reason, grown = ran.stdout.decode().split()
    assert reason == "too_large"
    assert int(grown) < 100, "megabytes"
