"""A batch with any damage is one problem with a place, and the partition goes on behind it."""

import struct
from collections.abc import Iterator

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from structlog.testing import capture_logs

from shared.kafka.unpacking import UnreadBatch
from tests.fakes.log import Log, a_batch
from tests.unit.shared.reading import reading, records

ZERO = TopicPartition("t", 0)
BASE_AT, LENGTH_AT, CHECKSUM_AT, DELTA_AT, COUNT_AT = 0, 8, 17, 23, 57
LENGTHS = [-20, 0, 5, 20, 60, 2**30]
DELTAS = [-5, 0, 1, 3, 2**31 - 1]


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[dict[str, object]]]:
    with capture_logs() as captured:
        yield captured  # type: ignore[misc]


def _log(*, with_more: bool = True) -> Log:
    """Offsets 0; 1, 2 and 3 in the batch to be damaged; 4 and 5."""
    log = Log(ZERO)
    log.append(ZERO, a_batch(b"a"), a_batch(b"b0", b"b1", b"b2"))
    if with_more:
        log.append(ZERO, a_batch(b"c"), a_batch(b"d"))
    return log


async def _seen(log: Log, last: bytes) -> list[ConsumerRecord]:
    async with reading(log) as consumer:
        return await records(consumer, until=last)


def _good(seen: list[ConsumerRecord]) -> list[bytes]:
    return [each.value for each in seen if not isinstance(each, UnreadBatch)]


@pytest.mark.parametrize(
    ("at", "form", "value"),
    [
        *((LENGTH_AT, ">i", length) for length in LENGTHS),
        *((DELTA_AT, ">i", delta) for delta in DELTAS),
        *((COUNT_AT, ">i", count) for count in (-1, 2**31 - 1)),
        *((BASE_AT, ">q", base) for base in (-(2**63), 2**62)),
        (CHECKSUM_AT, ">I", 0),
        (16, ">b", 1),
        (16, ">b", -1),
    ],
)
async def test_a_damaged_field_loses_no_record_of_other_batches(
    at: int, form: str, value: int, lines: list[dict[str, object]]
) -> None:
    log = _log()
    log.overwrite(ZERO, 1, at, struct.pack(form, value))
    seen = await _seen(log, b"d")
    assert [value for value in _good(seen) if not value.startswith(b"b")] == [b"a", b"c", b"d"]
    letters = [each for each in seen if isinstance(each, UnreadBatch)]
    assert 1 <= len(letters) <= 3, "the batch has three offsets"
    assert [each.offset for each in letters] == sorted({each.offset for each in letters} & {1, 2, 3})
    told = [line for line in lines if line["event"] == "consumer_cannot_read"]
    assert [(line["topic"], line["partition"], line["offset"]) for line in told] == [("t", 0, 1)]


@pytest.mark.parametrize(
    ("at", "value"), [*((LENGTH_AT, each) for each in LENGTHS), *((DELTA_AT, each) for each in DELTAS)]
)
async def test_damage_at_the_end_of_the_log_ends_there(at: int, value: int) -> None:
    log = _log(with_more=False)
    log.overwrite(ZERO, 1, at, struct.pack(">i", value))
    async with reading(log) as consumer:
        seen = await records(consumer, until=3)
        letters = [each.offset for each in seen if isinstance(each, UnreadBatch)]
        assert 1 <= len(letters) <= 3
        assert letters[-1] == 3 == await consumer.position(ZERO) - 1
        log.append(ZERO, a_batch(b"c"))
        assert _good(await records(consumer, until=b"c")) == [b"c"]
        assert consumer.problem() is None


async def test_a_damaged_length_is_tried_for_half_a_minute(lines: list[dict[str, object]]) -> None:
    log = _log()
    log.overwrite(ZERO, 1, LENGTH_AT, struct.pack(">i", 5))
    async with reading(log) as consumer:
        await records(consumer, until=b"a")
        clock = consumer._loop.time
        started = clock()
        await records(consumer, until=3)
        assert 20 < clock() - started < 40
