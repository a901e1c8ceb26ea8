"""Records of callers without a time of sending: the time of the record counts."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import ConsumerRecord

from contracts.base import Message, key_of, topic_of
from contracts.strictness import CallerMessage
from shared.clock import now
from tests.component.test_characters import CharactersHarness, in_short
from tests.fakes.builders import CHARACTER, JOB
from tests.fakes.characters import FACES, a_beginning, a_chain_cancel, a_creation, a_resume, a_selection
from tests.fakes.kafka import raw_record

EARLIER = datetime.fromtimestamp(int((now() - timedelta(minutes=10)).timestamp()), UTC)


def undated(message: CallerMessage, at: datetime, *, offset: int = 0, null: bool = False) -> ConsumerRecord:
    """Return the record of a message whose time of sending is missing or null."""
    body = json.loads(message.model_dump_json())
    body[str(message.sent_at)] = None
    if not null:
        del body[str(message.sent_at)]
    milliseconds = int(at.timestamp() * 1000)
    value, key = json.dumps(body).encode(), key_of(message).encode()
    return raw_record(topic_of(message), value, key=key, offset=offset, timestamp=milliseconds)


@pytest.mark.parametrize("null", [False, True])
async def test_a_creation_and_a_choice_without_a_time_are_stored_as_of_their_record(null: bool) -> None:
    harness = CharactersHarness()
    await harness.consume(undated(a_creation(), EARLIER, null=null))
    await harness.consume(undated(a_selection(), EARLIER, offset=1, null=null))
    assert harness.sender.letters() == []
    record = harness.record(CHARACTER)
    assert (record.character.name, record.selected_at) == ("Mara", EARLIER)


async def test_of_two_choices_without_a_time_the_one_with_the_later_record_is_the_face() -> None:
    harness = CharactersHarness()
    later = undated(a_selection(base_image_id=f"{FACES}/2"), EARLIER + timedelta(minutes=1), offset=0)
    earlier = undated(a_selection(), EARLIER, offset=1)
    sheets = [await harness.consume(record) for record in (later, earlier)]
    assert harness.record(CHARACTER).character.base_image_id == f"{FACES}/2"
    assert sheets[0][0].key != sheets[1][0].key, "each choice begins a chain of its own"


async def test_a_choice_without_a_time_that_is_delivered_again_begins_one_chain() -> None:
    harness = CharactersHarness()
    record = undated(a_selection(), EARLIER)
    assert await harness.consume(record) == await harness.consume(record)


@pytest.mark.parametrize("command", [a_chain_cancel(), a_resume()])
async def test_a_command_to_a_chain_without_a_time_holds_as_of_its_record(command: Message) -> None:
    harness = CharactersHarness()
    await harness.receive(a_beginning())
    assert isinstance(command, CallerMessage)
    outputs = await harness.consume(undated(command, EARLIER))
    assert harness.sender.letters() == []
    assert EARLIER in (harness.chain.cancelled_at, harness.chain.resumed_at)
    stopped = [f"stop {JOB}"] if harness.chain.is_cancelled else []
    assert [in_short(envelope) for envelope in outputs] == stopped
