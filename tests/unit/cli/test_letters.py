"""Dead letters as the command line sees them."""

import base64
from dataclasses import replace

from aiokafka import ConsumerRecord

from clients.cli.letters import Letter, letters_of, replay_of, resolution_of
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


def set_aside(record: ConsumerRecord = POISON) -> DeadLetter:
    return dead_letter(record, service="dispatcher", reason="not_json", error="no JSON")


def letters(*envelopes: Envelope) -> list[Letter]:
    return letters_of(record_of(envelope) for envelope in envelopes)


def test_a_letter_said_twice_is_one_letter() -> None:
    said = encode(set_aside(), source="dispatcher", trace=None)
    found = letters(said, said)
    assert [(each.id, each.resolved) for each in found] == [("dispatcher/generation.planned.v1/2/7", None)]


def test_what_was_done_about_a_letter_is_known_in_whatever_order_it_is_read() -> None:
    said = encode(set_aside(), source="dispatcher", trace=None)
    dropped = resolution_of(letters(said)[0], "dropped", "not ours")
    for order in ((said, dropped), (dropped, said)):
        (found,) = letters(*order)
        assert found.resolved
        assert (found.resolved.action, found.resolved.note) == ("dropped", "not ours")


def test_a_record_that_is_no_letter_is_passed_over() -> None:
    said = encode(set_aside(), source="dispatcher", trace=None)
    assert len(letters(replace(said, body=b"{"), said)) == 1


def test_a_replayed_record_is_the_same_record_and_says_that_it_comes_again() -> None:
    again = replay_of(set_aside())
    assert (again.topic, again.key, again.body) == ("generation.planned.v1", "k", b"\x00 no json")
    assert again.headers == (("ce_id", b"generation.planned:1"), ("imagegen-attempt", b"2"))


def test_each_replay_that_fails_again_counts() -> None:
    letter = set_aside()
    for attempt in (1, 2, 3):
        assert letter.attempts == attempt
        letter = set_aside(record_of(replay_of(letter)))


def test_an_odd_attempt_header_counts_as_the_first() -> None:
    for odd in ("", "-1", "two", "9" * 40, "²"):
        assert attempts_of({"imagegen-attempt": odd}) == 1


def test_a_value_that_was_cut_says_so() -> None:
    whole = set_aside()
    cut = set_aside(record_of(Envelope("generation.planned.v1", "k", (), b"x" * (4 * 1024 * 1024 + 1))))
    assert (whole.cut, cut.cut) == (False, True)
    assert base64.b64decode(cut.original_value) == b"x" * (4 * 1024 * 1024)
