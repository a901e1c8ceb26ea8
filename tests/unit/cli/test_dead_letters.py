"""Dead letters and their resolutions as the command line reads them."""

import base64
from dataclasses import replace

from aiokafka import ConsumerRecord

from clients.cli.dead_letters import DeadLetterView, replay_of, resolution_of, views_of
from contracts.operations import DeadLetter
from shared.envelope import Envelope, encode
from shared.kafka.dead_letters import attempts_of, dead_letter


def record_of(envelope: Envelope, offset: int = 0) -> ConsumerRecord:
    return ConsumerRecord(
        topic=envelope.topic,
        partition=2,
        offset=offset,
        timestamp=1_773_480_390_120,
        timestamp_type=0,
        key=envelope.key.encode(),
        value=envelope.body,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=len(envelope.body),
        headers=envelope.headers,
    )


POISON = record_of(
    Envelope("generation.planned.v1", "k", (("ce_id", b"generation.planned:1"),), b"\x00 no json"), offset=7
)


def a_dead_letter(record: ConsumerRecord = POISON) -> DeadLetter:
    return dead_letter(record, service="dispatcher", reason="not_json", error="no JSON")


def views(*envelopes: Envelope) -> list[DeadLetterView]:
    return views_of(record_of(envelope) for envelope in envelopes)


def test_a_dead_letter_published_twice_is_listed_once() -> None:
    published = encode(a_dead_letter(), source="dispatcher", trace=None)
    found = views(published, published)
    assert [(each.id, each.resolution) for each in found] == [("dispatcher/generation.planned.v1/2/7", None)]


def test_a_resolution_is_found_in_either_order_of_the_records() -> None:
    published = encode(a_dead_letter(), source="dispatcher", trace=None)
    dropped = resolution_of(views(published)[0], "dropped", "not ours")
    for order in ((published, dropped), (dropped, published)):
        (found,) = views(*order)
        assert found.resolution
        assert (found.resolution.action, found.resolution.note) == ("dropped", "not ours")


def test_an_unreadable_record_is_skipped() -> None:
    published = encode(a_dead_letter(), source="dispatcher", trace=None)
    assert len(views(replace(published, body=b"{"), published)) == 1


def test_a_replay_is_the_original_record_with_the_next_attempt_number() -> None:
    again = replay_of(a_dead_letter())
    assert (again.topic, again.key, again.body) == ("generation.planned.v1", "k", b"\x00 no json")
    assert again.headers == (("ce_id", b"generation.planned:1"), ("imagegen-attempt", b"2"))


def test_the_attempt_number_grows_with_each_failed_replay() -> None:
    message = a_dead_letter()
    for attempt in (1, 2, 3):
        assert message.attempts == attempt
        message = a_dead_letter(record_of(replay_of(message)))


def test_an_invalid_attempt_header_counts_as_the_first_attempt() -> None:
    for invalid in ("", "-1", "two", "9" * 40, "²"):
        assert attempts_of({"imagegen-attempt": invalid}) == 1


def test_a_large_value_is_stored_in_part_and_marked_as_cut() -> None:
    whole = a_dead_letter()
    cut = a_dead_letter(record_of(Envelope("generation.planned.v1", "k", (), b"x" * (4 * 1024 * 1024 + 1))))
    assert (whole.cut, cut.cut) == (False, True)
    assert base64.b64decode(cut.original_value) == b"x" * (4 * 1024 * 1024)
