"""Callers' records with an unknown field are dead letters that name it, and are counted."""

import base64
import json
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from contracts.base import Message, key_of, topic_of
from tests.component.test_characters import CharactersHarness
from tests.fakes.builders import CHARACTER, JOB
from tests.fakes.characters import a_creation, a_selection
from tests.fakes.kafka import raw_record

CASES: dict[str, tuple[Message, dict[str, Any], str]] = {
    "a creation, beside its fields": (
        a_creation(),
        {"appearance": {}},
        "appearance: is not a field here; did you mean 'character.appearance'?",
    ),
    "a creation, in its character": (
        a_creation(),
        {"character": {"name": "Mara", "age": 27, "appearance": {"hairColor": "red"}}},
        "character.appearance.hairColor: is not a field here; did you mean 'hair_color'?",
    ),
    "a choice": (
        a_selection(),
        {"includeNsfw": True},
        "includeNsfw: is not a field here; did you mean 'include_nsfw'?",
    ),
    "a choice, in what follows": (
        a_selection(),
        {"then": [{"type": "studio", "setId": "x"}]},
        "then.0.setId: is not a field here; 'set_id' is a field of type profile_pictures",
    ),
}


def counted() -> float:
    labels = {"service": "fake", "reason": "invalid"}
    return REGISTRY.get_sample_value("imagegen_messages_dead_lettered_total", labels) or 0.0


@pytest.mark.parametrize(("message", "fields", "error"), CASES.values(), ids=CASES)
async def test_a_record_with_an_unknown_field_is_a_dead_letter_that_names_it_and_others_are_handled(
    message: Message, fields: dict[str, Any], error: str
) -> None:
    harness, before = CharactersHarness(), counted()
    value = json.dumps(json.loads(message.model_dump_json()) | fields).encode()
    odd = raw_record(topic_of(message), value, key=key_of(message).encode(), offset=7)
    others = harness.records(a_creation(character_id=JOB), a_selection(character_id=JOB))
    with capture_logs() as logs:
        await harness.consume(odd, *others)
    [letter] = harness.sender.letters()
    assert (letter.reason, letter.error) == ("invalid", error)
    assert (letter.original_topic, letter.original_offset) == (topic_of(message), 7)
    assert base64.b64decode(letter.original_value) == value
    [logged] = [log for log in logs if log["event"] == "message_dead_lettered"]
    assert (logged["log_level"], logged["reason"], logged["error"]) == ("warning", "invalid", error)
    assert counted() == before + 1
    assert harness.characters.get(f"acme/{CHARACTER}") is None, "nothing of the odd record is stored"
    assert harness.record(JOB).character.base_image_id is not None, "the others are handled"


async def test_the_corrected_record_is_handled_after_its_dead_letter() -> None:
    harness, message = CharactersHarness(), a_creation()
    odd = json.dumps(json.loads(message.model_dump_json()) | {"charakter": {}}).encode()
    await harness.consume(raw_record(topic_of(message), odd, key=CHARACTER.encode()))
    await harness.receive(message)
    assert len(harness.sender.letters()) == 1
    assert harness.record(CHARACTER).character.name == "Mara"
