"""Promises of the schemas and the AsyncAPI document."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, ClassVar

import pytest

from contracts.base import Message, topics_of
from contracts.catalog import MESSAGES, TOPICS
from contracts.publish import UndocumentedMessage, asyncapi, documents, parties_of


@cache
def schemas() -> dict[str, Any]:
    return {f"./{path}": json.loads(text) for path, text in documents().items() if path.endswith(".json")}


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict) and "$ref" in node:
        yield node["$ref"]
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from references(child)


def resolve(document: Any, reference: str) -> Any:
    file, _, pointer = reference.partition("#")
    found = schemas()[file] if file else document
    for name in pointer.split("/")[1:]:
        found = found[name]
    return found


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_every_message_names_its_producers_and_consumers(kind: type[Message]) -> None:
    producers, consumers = parties_of(kind)
    assert producers
    assert consumers


def test_a_message_without_named_consumers_is_rejected_by_name() -> None:
    class Whisper(Message):
        """A message without consumers. Produced by dispatcher."""

        topic: ClassVar[str] = "whisper.v1"
        identity: ClassVar[tuple[str, ...]] = ()

    with pytest.raises(UndocumentedMessage, match="Whisper: producer or consumer is not named"):
        parties_of(Whisper)


def test_a_message_from_an_unknown_service_is_rejected_by_name() -> None:
    class Rumour(Message):
        """A message of an unknown service. Produced by a friend, consumed by dispatcher."""

        topic: ClassVar[str] = "rumour.v1"
        identity: ClassVar[tuple[str, ...]] = ()

    with pytest.raises(UndocumentedMessage, match="Rumour: unknown: a friend"):
        parties_of(Rumour)


def test_every_topic_is_a_channel_with_its_declaration_on_the_broker() -> None:
    channels = asyncapi()["channels"]
    assert set(channels) == {topic.name for topic in TOPICS}
    for topic in TOPICS:
        kafka = channels[topic.name]["bindings"]["kafka"]
        assert channels[topic.name]["address"] == topic.name
        assert kafka["partitions"] == topic.partitions
        assert kafka["topicConfiguration"]["retention.ms"] == topic.retention_seconds * 1000


def test_every_topic_has_a_sender_and_a_receiver() -> None:
    operations = {(each["action"], each["channel"]["$ref"]) for each in asyncapi()["operations"].values()}
    assert operations == {
        (action, f"#/channels/{topic}")
        for kind in MESSAGES
        for topic in topics_of(kind)
        for action in ("send", "receive")
    }


def test_every_reference_has_a_target() -> None:
    document = asyncapi()
    for reference in references(document):
        assert resolve(document, reference)
    for schema in schemas().values():
        for reference in references(schema):
            assert resolve(schema, reference)


def test_every_schema_names_itself_and_its_dialect() -> None:
    assert len({schema["$id"] for schema in schemas().values()}) == len(schemas())
    for schema in schemas().values():
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["title"]
        assert schema["description"]


def test_a_request_requires_its_type() -> None:
    schema = schemas()["./schemas/generation.requested.v1.json"]
    branches = [resolve(schema, each["$ref"]) for each in schema["properties"]["request"]["oneOf"]]
    assert len(branches) == 5
    assert all("type" in branch["required"] for branch in branches)
