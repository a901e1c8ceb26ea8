"""FastStream's parser and decoder for batches: nothing in a record can fail its neighbours."""

from contracts.generation import GenerationCancel
from shared.clock import now
from shared.kafka.pipeline.decoding import BatchDecoder, BatchParser
from tests.fakes.builders import a_cancel
from tests.fakes.kafka import FakeConsumer, a_record, raw_record
from tests.unit.shared.pipeline.batches import ONE, TOPIC, ZERO

CONSUMER = FakeConsumer([], {ZERO, ONE})


async def test_headers_that_are_not_utf_8_do_not_fail_the_batch() -> None:
    records = [raw_record(TOPIC, b"{", offset=7, headers=[("x", b"\xff"), ("y", None)])]
    message = await BatchParser(lambda: CONSUMER).parse(records)
    assert message.raw_message == tuple(records)
    assert message.body == [b"{"]
    consumer: object = message.consumer
    assert consumer is CONSUMER
    assert message.message_id == f"{TOPIC}/0/7"


async def test_each_record_is_decoded_by_itself() -> None:
    records = [
        a_record(a_cancel(reason="a"), offset=7),
        raw_record(TOPIC, b"{", offset=8),
        a_record(a_cancel(reason="x"), offset=3, partition=1),
    ]
    message = await BatchParser(lambda: CONSUMER).parse(records)
    batch = await BatchDecoder({TOPIC: GenerationCancel}, now).decode(message)
    assert [(each.message.reason, each.batch_start) for each in batch.messages] == [("a", 7), ("x", 3)]
    assert [entry.unreadable.reason for entry in batch.entries if entry.unreadable] == ["not_json"]
    assert (batch.consumer, batch.ends()) == (CONSUMER, {ZERO: 9, ONE: 4})
