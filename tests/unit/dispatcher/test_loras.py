"""How far a character's LoRA is, read from its record."""

from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from contracts.characters import Character, CharacterRecord, character_key
from contracts.jobs import JobDue
from services.dispatcher.handlers import waited_for
from services.dispatcher.loras import MongoLoras
from services.dispatcher.waiting import KnownLora
from shared.mongo import Collection
from tests.fakes.builders import CHARACTER, JOB, LORA, MIA, START, a_plan, due, received
from tests.fakes.documents import FakeCollection

WHO = Character(name="Mia", age=27, trigger_word=LORA.trigger_word)
TRAINED = WHO.model_copy(update={"lora": LORA})


def a_record(**fields: Any) -> CharacterRecord:
    known = {"character_id": CHARACTER, "tenant": "acme", "user_id": "ann", "character": WHO}
    return CharacterRecord.model_validate(known | {"created_at": START, "updated_at": START} | fields)


async def known(**fields: Any) -> KnownLora | None:
    return await read({"_id": character_key(*MIA)} | a_record(**fields).model_dump())


async def read(document: dict[str, Any]) -> KnownLora | None:
    wanted = [MIA, ("acme", JOB), ("other", CHARACTER)]
    found = await MongoLoras(cast(Collection, FakeCollection(document))).of(wanted)
    assert set(found) <= {MIA}
    return found.get(MIA)


@pytest.mark.parametrize("state", ["none", "training"])
async def test_a_lora_that_is_not_there_may_still_come(state: str) -> None:
    assert await known(lora_state=state) == KnownLora()


@pytest.mark.parametrize("state", ["ready", "training"])
async def test_a_lora_is_there_also_while_another_is_trained(state: str) -> None:
    assert await known(lora_state=state, character=TRAINED) == KnownLora(LORA)


@pytest.mark.parametrize(("error", "why"), [("too dark", "too dark"), (None, "it gave no reason")])
async def test_a_failed_training_says_why_and_when(error: str | None, why: str) -> None:
    told = await known(lora_state="failed", lora_error=error, lora_failed_at=START)
    assert told == KnownLora(failure=why, failed_at=START)


async def test_a_record_that_cannot_be_read_is_not_known_and_ends_nobody() -> None:
    document = {"_id": character_key(*MIA)} | a_record(lora_state="failed").model_dump()
    with capture_logs() as logs:
        assert await read(document | {"character": {"lora": {"key": 7}}}) is None
    assert [(each["event"], each["character_id"]) for each in logs] == [("lora_unreadable", CHARACTER)]


def test_characters_are_read_only_for_calls_of_those_who_wait() -> None:
    calls = [JobDue(job_id=JOB, due_at=START), *[due(START, character_id=CHARACTER)] * 2]
    batch: list[Any] = [received(message) for message in (*calls, a_plan(character_id=JOB))]
    assert waited_for(batch) == {MIA}
    assert waited_for(batch[:1]) == set()
