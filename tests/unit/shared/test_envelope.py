"""Messages on the wire: the same message has the same id; an unreadable record has a reason."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from contracts.generation import GenerationCancel
from contracts.jobs import JobEvent
from shared.envelope import Received, encode
from shared.kafka.decoding import Unreadable, decode
from tests.fakes.builders import JOB, TRACE, a_cancel, a_plan, progressed
from tests.fakes.kafka import RECORD_MILLISECONDS, a_record, raw_record

TOPIC = GenerationCancel.topic
BODY = a_cancel().model_dump_json().encode()


READ_AT = datetime.fromtimestamp(RECORD_MILLISECONDS / 1000, UTC) + timedelta(seconds=5)


def read(record: ConsumerRecord) -> Received[Any]:
    return decode(record, {TOPIC: GenerationCancel}, record.offset, READ_AT)


def refusal(value: bytes | None, **fields: Any) -> Unreadable:
    with pytest.raises(Unreadable) as refused:
        read(raw_record(TOPIC, value, **fields))
    return refused.value


def test_an_encoded_message_is_decoded_with_its_place_and_time() -> None:
    given = read(a_record(a_cancel(), partition=4, offset=17))
    assert given.message == a_cancel()
    assert (given.id, given.topic) == (f"generation.cancel:acme/{JOB}", TOPIC)
    assert (given.partition, given.offset, given.batch_start) == (4, 17, 17)
    assert given.at == datetime.fromtimestamp(RECORD_MILLISECONDS / 1000, UTC)


def test_the_same_message_has_the_same_id_whoever_publishes_it() -> None:
    first = encode(a_plan(), source="one", trace=None, at=datetime(2030, 1, 1, tzinfo=UTC))
    again = encode(a_plan(), source="two", trace=TRACE)
    assert first.id == again.id == f"generation.planned:{JOB}/abc"
    assert (first.topic, first.key, first.body) == (again.topic, again.key, again.body)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (a_plan(), a_plan(request_hash="def")),
        (progressed(percent=1), progressed(percent=2)),
        (progressed(0, n=1), progressed(0, n=2)),
        (progressed(percent=None), progressed(percent=0)),
    ],
)
def test_another_message_has_another_id(one: Any, other: Any) -> None:
    assert encode(one, source="x", trace=None).id != encode(other, source="x", trace=None).id


def test_a_cancel_of_another_tenant_is_another_message() -> None:
    mine, theirs = (encode(a_cancel(tenant=tenant), source="x", trace=None) for tenant in ("acme", "other"))
    assert mine.id != theirs.id


def test_the_time_of_the_event_is_utc_in_milliseconds() -> None:
    envelope = encode(a_cancel(), source="x", trace=None, at=datetime(2030, 1, 1, 12, 0, 0, 7000, UTC))
    assert dict(envelope.headers)["ce_time"] == b"2030-01-01T12:00:00.007Z"


def test_the_trace_goes_on() -> None:
    assert dict(encode(a_cancel(), source="x", trace=TRACE).headers)["traceparent"] == TRACE.encode()
    assert read(a_record(a_cancel(), trace=TRACE)).trace == TRACE
    assert read(a_record(a_cancel(), trace=None)).trace is None
    assert "traceparent" not in dict(encode(a_cancel(), source="x", trace=None).headers)


def test_the_cloudevents_name_of_the_trace_header_is_understood_too() -> None:
    assert read(raw_record(TOPIC, BODY, headers=[("ce_traceparent", TRACE.encode())])).trace == TRACE


def test_a_received_message_continues_the_span_that_handles_it() -> None:
    given = read(a_record(a_cancel(), trace=TRACE))
    assert given.continued("00-another").trace == "00-another"
    assert given.continued(None).trace == TRACE


def test_plain_json_without_headers_has_the_type_of_its_topic() -> None:
    given = read(raw_record(TOPIC, BODY, partition=2, offset=5))
    assert given.message == a_cancel()
    assert given.id == f"{TOPIC}/2/5", "its place is its name"


@pytest.mark.parametrize("value", [b"{", b"", None, b"\xff\xfe", b"nonsense"])
def test_a_value_that_is_not_json_is_refused_as_not_json(value: bytes | None) -> None:
    assert refusal(value).reason == "not_json"


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (b"[]", "body: "),
        (b"{}", "job_id: is required; tenant: is required"),
        (BODY.replace(JOB.encode(), b"17"), "job_id: "),
        (BODY.replace(b"changed", b"\\u0000"), "reason: must not contain the control character"),
    ],
)
def test_an_invalid_message_is_refused_field_by_field(value: bytes, complaint: str) -> None:
    refused = refusal(value)
    assert refused.reason == "invalid"
    assert complaint in str(refused)
    assert refused.cause is not None


def test_a_refusal_does_not_repeat_the_input() -> None:
    assert "hunter2" not in str(refusal(b'{"job_id": "hunter2", "tenant": 5}'))


def test_a_message_of_another_type_is_refused_by_name() -> None:
    refused = refusal(BODY, headers=[("ce_type", JobEvent.topic.encode())])
    assert refused.reason == "wrong_type"
    assert "job.events.v1" in str(refused)
    assert TOPIC in str(refused)


@pytest.mark.parametrize("value", [b"\xff\xfe", None, b""])
def test_header_bytes_that_are_no_text_do_not_stop_a_good_message(value: bytes | None) -> None:
    given = read(raw_record(TOPIC, BODY, headers=[("x-anything", value), ("ce_id", value)]))
    assert given.message == a_cancel()


def test_a_type_in_bytes_that_are_no_text_is_refused() -> None:
    assert refusal(BODY, headers=[("ce_type", b"\xff\xfe")]).reason == "wrong_type"


@pytest.mark.parametrize(
    ("kind", "timestamp"),
    [
        ("none", -1),
        ("zero", 0),
        ("Go's zero time", -62_135_596_800_000),
        ("seconds", RECORD_MILLISECONDS // 1000),
        ("nanoseconds", RECORD_MILLISECONDS * 1_000_000),
        ("an hour ahead", RECORD_MILLISECONDS + 3_600_000),
        ("beyond all time", 2**62),
        ("before all time", -(2**62)),
        ("older than the topic keeps records", RECORD_MILLISECONDS - 8 * 86_400_000),
    ],
)
def test_an_impossible_record_time_is_the_time_of_reading(kind: str, timestamp: int) -> None:
    given = read(raw_record(TOPIC, BODY, timestamp=timestamp))
    assert (given.message, given.at) == (a_cancel(), READ_AT), kind


@pytest.mark.parametrize("seconds", [-6 * 86_400, -60, 0, 60])
def test_a_possible_record_time_is_kept(seconds: int) -> None:
    given = read(raw_record(TOPIC, BODY, timestamp=RECORD_MILLISECONDS + 1000 * seconds))
    assert given.at == datetime.fromtimestamp(RECORD_MILLISECONDS / 1000 + seconds, UTC)
