"""A batch or a record that is too much to read becomes one dead letter; its neighbours are handled."""

from dataclasses import fields

from aiokafka import ConsumerRecord

from shared.kafka.unpacking import UnreadBatch
from shared.limits import MAX_MESSAGE_BYTES
from tests.fakes.kafka import raw_record
from tests.unit.shared.subscribed import TOPIC, ZERO, Bench, said


def unread(offset: int, reason: str) -> UnreadBatch:
    raw = raw_record(TOPIC, b"\x1f\x8b first bytes", offset=offset)
    given = {field.name: getattr(raw, field.name) for field in fields(ConsumerRecord)}
    return UnreadBatch(**given, reason=reason, error=f"offsets 8 to {offset} cannot be read")


async def test_a_batch_that_cannot_be_unpacked_is_one_dead_letter_and_is_committed_past() -> None:
    bench = Bench()
    await bench.consume(said("a", 7), unread(19, "too_large"), said("b", 20))
    (letter,) = bench.sender.letters()
    assert (letter.reason, letter.original_partition, letter.original_offset) == ("too_large", 0, 19)
    assert letter.error == "offsets 8 to 19 cannot be read"
    assert letter.cut, "it cannot be replayed from here"
    assert bench.handled == ["a", "b"]
    assert bench.consumer.committed == {ZERO: 21}


async def test_a_record_above_the_limit_is_a_dead_letter_without_being_read() -> None:
    bench = Bench()
    await bench.consume(said("a", 7), raw_record(TOPIC, b"[" * (MAX_MESSAGE_BYTES + 1), offset=8))
    (letter,) = bench.sender.letters()
    assert (letter.reason, letter.cut) == ("too_large", True)
    assert bench.consumer.committed == {ZERO: 9}
