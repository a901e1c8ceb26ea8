"""Messages that cannot be handled become dead letters; the others of their batch are handled."""

import base64
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from contracts.base import Message
from contracts.jobs import JobDue, JobEvent
from shared.envelope import Received
from shared.errors import PermanentError
from shared.kafka.dead_letters import KEEP_HEADERS
from shared.kafka.decoding import Unreadable, decode
from shared.limits import MAX_MESSAGE_BYTES
from tests.fakes.builders import JOB, START, a_cancel, due
from tests.fakes.kafka import raw_record
from tests.unit.shared.subscribed import TOPIC, ZERO, Bench, said

BODY = a_cancel().model_dump_json().encode()


class NoSuchWord(PermanentError):
    """A named reason."""

    reason = "no_such_word"


def bad(value: bytes | None, offset: int = 8, **fields: Any) -> ConsumerRecord:
    return raw_record(TOPIC, value, offset=offset, key=b"the-key", **fields)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (bad(b"{nonsense"), "not_json"),
        (bad(None), "not_json"),
        (bad(b'{"job_id": "17"}'), "invalid"),
        (bad(BODY, headers=[("ce_type", JobEvent.topic.encode())]), "wrong_type"),
        (bad(BODY, headers=[("ce_type", b"\xff\xfe")]), "wrong_type"),
    ],
)
async def test_an_unreadable_record_is_dead_lettered_and_its_neighbours_are_handled(
    record: ConsumerRecord, reason: str
) -> None:
    bench = Bench()
    await bench.consume(said("a", 7), record, said("b", 9))
    assert bench.reasons() == [reason]
    assert bench.handled == ["a", "b"]
    assert bench.journal == ["sent 3", "committed"]
    assert bench.consumer.committed == {ZERO: 10}


async def test_a_batch_of_nothing_but_poison_never_reaches_the_handler() -> None:
    bench = Bench()
    await bench.consume(bad(b"{", 8), bad(b"{", 9))
    assert bench.reasons() == ["not_json", "not_json"]
    assert bench.batches == []
    assert bench.consumer.committed == {ZERO: 10}


async def test_a_dead_letter_keeps_the_record_as_it_was_and_where_it_came_from() -> None:
    bench = Bench()
    await bench.consume(
        bad(b"\xff{", 8, partition=1, headers=[("ce_id", b"x"), ("odd", b"\xff"), ("none", None)])
    )
    (letter,) = bench.sender.letters()
    assert (letter.service, letter.original_topic) == ("fake", TOPIC)
    assert (letter.original_partition, letter.original_offset, letter.original_key) == (1, 8, "the-key")
    assert base64.b64decode(letter.original_value) == b"\xff{"
    assert letter.original_headers == {"ce_id": "x", "odd": "\N{REPLACEMENT CHARACTER}", "none": ""}


@pytest.mark.parametrize("value", [b"\xff\xfe", None])
async def test_odd_header_bytes_do_not_fail_a_good_message(value: bytes | None) -> None:
    bench = Bench()
    await bench.consume(bad(BODY, headers=[("x-client", value), ("traceparent", value)]))
    assert bench.handled == [a_cancel().reason]
    assert bench.consumer.committed == {ZERO: 9}


async def test_a_service_may_answer_an_invalid_record_instead_of_a_dead_letter() -> None:
    heard: list[Unreadable] = []

    def refuse(record: ConsumerRecord, unreadable: Unreadable) -> Message | None:
        heard.append(unreadable)
        return due(START) if unreadable.reason == "invalid" else None

    bench = Bench(on_unreadable=refuse)
    await bench.consume(bad(b"{}", 8), bad(b"{", 9))
    assert [unreadable.reason for unreadable in heard] == ["invalid", "not_json"]
    assert (bench.answers(), bench.reasons()) == (1, ["not_json"])
    assert bench.consumer.committed == {ZERO: 10}


async def test_only_the_message_that_cannot_be_handled_is_dead_lettered() -> None:
    bench = Bench()
    bench.troubles["c"] = lambda: NoSuchWord("never heard of it")
    await bench.consume(*(said(text, 7 + place) for place, text in enumerate("abcde")))
    (letter,) = bench.sender.letters()
    assert (letter.reason, letter.original_offset) == ("no_such_word", 9)
    assert letter.error == "NoSuchWord: never heard of it"
    assert bench.handled == ["a", "b", "d", "e"]
    assert bench.answers() == 4
    assert bench.consumer.committed == {ZERO: 12}


async def test_each_part_of_a_batch_knows_the_start_of_the_batch() -> None:
    bench = Bench()
    bench.troubles["b"] = lambda: NoSuchWord("never heard of it")
    await bench.consume(said("a", 7), said("b", 8), said("c", 9))
    assert {given.batch_start for batch in bench.batches for given in batch} == {7}


async def test_an_unexpected_error_dead_letters_its_message() -> None:
    bench = Bench()
    bench.troubles["b"] = lambda: KeyError("a bug")
    await bench.consume(said("a", 7), said("b", 8))
    assert bench.reasons() == ["handler_failed"]
    assert (bench.handled, bench.consumer.committed) == (["a"], {ZERO: 9})


async def test_a_message_with_an_oversized_output_is_dead_lettered() -> None:
    class Talkative(Bench):
        def answer(self, given: Received[Any]) -> JobDue:
            small = due(START, job_id=given.message.job_id)
            big = "x" * MAX_MESSAGE_BYTES if given.message.reason == "b" else JOB
            return small.model_copy(update={"job_id": big})

    bench = Talkative()
    await bench.consume(said("a", 7), said("b", 8), said("c", 9))
    assert bench.reasons() == ["message_too_large"]
    assert bench.answers() == 2
    assert bench.consumer.committed == {ZERO: 10}


async def test_the_dead_letter_of_a_huge_record_is_cut() -> None:
    bench = Bench()
    await bench.consume(bad(b"x" * MAX_MESSAGE_BYTES))
    (envelope,) = bench.sender.sent
    assert len(envelope.body) < MAX_MESSAGE_BYTES - 65_536
    assert bench.consumer.committed == {ZERO: 9}


FAR_AWAY = "0001-01-01T00:00:00+14:00"


async def test_a_time_that_is_none_in_utc_is_an_ordinary_invalid_message() -> None:
    body = due(START).model_dump_json().replace(START.isoformat().replace("+00:00", "Z"), FAR_AWAY)
    assert FAR_AWAY in body
    bench = Bench()
    await bench.consume(raw_record(JobDue.topic, body.encode()), said("a", 7))
    (letter,) = bench.sender.letters()
    assert (letter.reason, letter.error) == (
        "invalid",
        "due_at: is too far away to be a time in UTC",
    )
    assert bench.handled == ["a"]


async def test_a_validator_with_a_bug_stops_no_partition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def odd(record: ConsumerRecord, *rest: Any) -> Received[Message]:
        if record.offset == 8:
            raise OverflowError("date value out of range")
        return decode(record, *rest)

    monkeypatch.setattr("shared.kafka.pipeline.decoding.decode", odd)
    bench = Bench()
    await bench.consume(said("a", 7), said("odd", 8), said("b", 9))
    (letter,) = bench.sender.letters()
    assert (letter.reason, letter.error) == ("invalid", "OverflowError: date value out of range")
    assert (bench.handled, bench.consumer.committed) == (["a", "b"], {ZERO: 10})


async def test_a_refusal_that_fails_becomes_a_dead_letter() -> None:
    def refuse(record: ConsumerRecord, unreadable: Unreadable) -> Message | None:
        raise RecursionError("deep")

    bench = Bench(on_unreadable=refuse)
    await bench.consume(bad(b"{", 8), said("a", 9))
    assert (bench.reasons(), bench.handled) == (["not_json"], ["a"])
    assert bench.consumer.committed == {ZERO: 10}


async def test_one_bad_message_among_many_is_found_by_bisecting() -> None:
    bench = Bench()
    bench.troubles["bad"] = lambda: NoSuchWord("never heard of it")
    texts = [str(place) for place in range(64)]
    texts[37] = "bad"
    await bench.consume(*(said(text, place) for place, text in enumerate(texts)))
    assert bench.reasons() == ["no_such_word"]
    assert bench.handled == [text for text in texts if text != "bad"], "in their order"
    assert len(bench.batches) == 1 + 2 * 6


async def test_a_service_may_answer_a_failed_message_instead_of_a_dead_letter() -> None:
    heard: list[tuple[str, str]] = []

    def give_up(received: Received[Any], error: Exception) -> Message | None:
        heard.append((received.message.reason, repr(error)))
        return due(START) if received.message.reason == "b" else None

    bench = Bench(on_failed=give_up)
    bench.troubles["b"] = bench.troubles["c"] = lambda: NoSuchWord("never heard of it")
    await bench.consume(said("a", 7), said("b", 8), said("c", 9))
    assert heard == [("b", "NoSuchWord('never heard of it')"), ("c", "NoSuchWord('never heard of it')")]
    assert (bench.answers(), bench.reasons()) == (2, ["no_such_word"])
    assert bench.consumer.committed == {ZERO: 10}


async def test_an_answer_that_fails_too_stops_no_partition() -> None:
    def give_up(received: Received[Any], error: Exception) -> Message | None:
        raise KeyError("another bug")

    bench = Bench(on_failed=give_up)
    bench.troubles["b"] = lambda: NoSuchWord("never heard of it")
    await bench.consume(said("a", 7), said("b", 8))
    assert (bench.reasons(), bench.consumer.committed) == (["no_such_word"], {ZERO: 9})


@pytest.mark.parametrize(
    "headers",
    [
        [("x", b"h" * 10_000_000)],
        [(f"x{place}", b"h" * 1000) for place in range(10_000)],
        [("n" * 10_000_000, b"h")],
        [("x", "\N{SNOWMAN}".encode() * 3_000_000)],
    ],
    ids=["one", "many", "name", "wide"],
)
async def test_the_headers_of_a_dead_letter_are_cut(headers: Any) -> None:
    bench = Bench()
    await bench.consume(bad(b"x" * MAX_MESSAGE_BYTES, headers=[("ce_id", b"first"), *headers]))
    (envelope,) = bench.sender.sent
    assert len(envelope.body) < MAX_MESSAGE_BYTES - 65_536
    (letter,) = bench.sender.letters()
    assert letter.original_headers["ce_id"] == "first"
    assert sum(map(len, letter.original_headers.values())) <= KEEP_HEADERS
    assert bench.consumer.committed == {ZERO: 9}


async def test_an_invalid_record_that_another_service_answers_is_skipped() -> None:
    bench = Bench(answered_elsewhere=(type(a_cancel()),))
    await bench.consume(said("a", 7), bad(b"{", 8), bad(b"[]", 9))
    assert (bench.reasons(), bench.handled) == ([], ["a"])
    assert bench.consumer.committed == {ZERO: 10}
