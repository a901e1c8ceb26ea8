"""The official CloudEvents package and the platform read each other's messages."""

from datetime import UTC, datetime
from pathlib import Path

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, from_kafka_event, to_binary_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from contracts.base import id_of, key_of, topic_of
from shared.clock import now
from shared.envelope import encode
from shared.kafka.decoding import decode
from tests.contract.test_contracts_examples import KINDS, each_example, example, read, record

AT = datetime(2026, 3, 14, 9, 26, 53, 589_000, UTC)


@each_example
def test_the_official_package_reads_a_published_message(path: Path) -> None:
    message = read(example(path)).message
    sent = encode(message, source="dispatcher", trace=None, at=AT)
    event = from_binary(KafkaMessage(dict(sent.headers), sent.key, sent.body), JSONFormat(), CloudEvent)
    assert event.get_specversion() == "1.0"
    assert event.get_id() == id_of(message)
    assert event.get_source() == "/imagegen/dispatcher"
    assert event.get_type() == topic_of(message)
    assert event.get_time() == AT
    assert event.get_datacontenttype() == "application/json"
    assert event.get_extension("partitionkey") == key_of(message)
    assert event.get_data() == message.model_dump(mode="json")


@each_example
def test_the_official_package_recognises_every_published_example(path: Path) -> None:
    published = example(path)
    headers = {name: text.encode() for name, text in published.headers.items()}
    event = from_kafka_event(KafkaMessage(headers, published.key, b"{}"))
    assert event.get_id() == published.headers["ce_id"]
    assert event.get_type() == published.topic


@each_example
def test_the_platform_reads_a_message_of_the_official_package(path: Path) -> None:
    published = example(path)
    attributes = {
        "id": f"made-elsewhere-{path.stem}",
        "source": "/elsewhere",
        "type": published.topic,
        "time": AT,
        "datacontenttype": "application/json",
        "partitionkey": published.key,
    }
    official = to_binary_event(CloudEvent(attributes, published.body))
    assert official.key == published.key
    received = decode(
        record(published.topic, published.key, official.headers, official.value), KINDS, 42, now()
    )
    assert received.message == read(published).message
    assert received.id == attributes["id"]
