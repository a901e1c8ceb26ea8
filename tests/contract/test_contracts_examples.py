"""Published examples stay unchanged and readable."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from aiokafka import ConsumerRecord
from pydantic import BaseModel

from contracts.__main__ import ROOT, SUMS, changed_examples, main, stale, write
from contracts.base import GenerationType, Message, topics_of
from contracts.catalog import MESSAGES
from contracts.jobs import EventKind
from shared.clock import now
from shared.envelope import Received, encode
from shared.kafka.decoding import decode

EXAMPLES = sorted((ROOT / "examples").glob("*.json"))
KINDS = {topic: kind for kind in MESSAGES for topic in topics_of(kind)}

each_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)


class Example(BaseModel):
    """A published record. Header values are texts."""

    topic: str
    key: str
    headers: dict[str, str]
    body: dict[str, Any]


def example(path: Path) -> Example:
    return Example.model_validate_json(path.read_bytes())


def record(topic: str, key: str, headers: dict[str, bytes], value: bytes) -> ConsumerRecord:
    """Return the message that a consumer receives."""
    return ConsumerRecord(
        topic=topic,
        partition=3,
        offset=42,
        timestamp=1_773_480_390_120,
        timestamp_type=0,
        key=key.encode(),
        value=value,
        checksum=None,
        serialized_key_size=len(key),
        serialized_value_size=len(value),
        headers=tuple(headers.items()),
    )


def read(published: Example) -> Received[Message]:
    headers = {name: text.encode() for name, text in published.headers.items()}
    value = json.dumps(published.body).encode()
    return decode(
        record(published.topic, published.key, headers, value), KINDS, batch_start=42, read_at=now()
    )


def fields(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every value in a JSON value: `.renders.0.seed`."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in items:
        yield from fields(child, f"{path}.{name}")


@each_example
def test_a_published_example_is_read_as_the_message_of_its_topic(path: Path) -> None:
    published = example(path)
    received = read(published)
    assert type(received.message) is KINDS[published.topic]
    assert received.id == published.headers["ce_id"]
    assert received.trace == published.headers["traceparent"]


@each_example
def test_reading_a_published_example_loses_none_of_its_fields(path: Path) -> None:
    published = example(path)
    again = read(published).message.model_dump(mode="json")
    lost = set(fields(published.body)) - set(fields(again))
    assert not lost, f"readers now ignore published fields (was one renamed?): {sorted(lost)}"


@each_example
def test_an_example_that_is_published_again_keeps_its_topic_key_and_id(path: Path) -> None:
    published = example(path)
    again = encode(read(published).message, source="replay", trace=None)
    assert (again.topic, again.key, again.id) == (published.topic, published.key, published.headers["ce_id"])


def test_every_topic_request_type_and_job_event_has_an_example() -> None:
    all_of_them = [example(path) for path in EXAMPLES]
    assert {each.topic for each in all_of_them} == set(KINDS)
    requests = {each.body["request"]["type"] for each in all_of_them if "request" in each.body}
    assert requests == set(get_args(GenerationType))
    events = {each.body["event"] for each in all_of_them if each.topic.startswith("job.events")}
    assert events == set(get_args(EventKind))


def test_published_examples_stay_byte_for_byte_the_same() -> None:
    changed = changed_examples()
    assert not changed, (
        f"changed or gone: {', '.join(changed)}. Published examples are never edited: such bytes are "
        "still in the log. Restore the file (git checkout contracts/examples). For a new shape of "
        "the message add a file beside it; for an incompatible one a new topic version and its `.v2.json`. "
        "Then run `python -m contracts`, which appends it to SHA256SUMS."
    )


def test_every_example_is_listed_with_its_checksum() -> None:
    listed = [line.split("  ")[1] for line in (ROOT / SUMS).read_text().splitlines()]
    assert sorted(listed) == [path.name for path in EXAMPLES], (
        "run `python -m contracts` to list new examples"
    )


def test_an_edited_or_deleted_example_is_named(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    edited, deleted = EXAMPLES[0].name, EXAMPLES[1].name
    (tmp_path / "examples" / edited).write_text("{}")
    (tmp_path / "examples" / deleted).unlink()
    assert changed_examples(tmp_path) == [edited, deleted]
    assert main([], tmp_path) == 1, "writing does not accept an edit"
    assert changed_examples(tmp_path) == [edited, deleted]


def test_a_new_example_is_appended_to_the_checksums(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    before = (tmp_path / SUMS).read_text()
    (tmp_path / "examples" / "a.first.in.order.v2.json").write_text("{}")
    assert SUMS in stale(tmp_path)
    write(tmp_path)
    after = (tmp_path / SUMS).read_text()
    assert after.startswith(before)
    assert after.endswith("  a.first.in.order.v2.json\n")
