"""How far a character's LoRA is, read from its record."""

from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from contracts.jobs import JobDue
from services.dispatcher.handlers import waited_for
from services.dispatcher.loras import MongoLoras
from services.dispatcher.waiting import KnownLora
from shared.mongo import Collection
from tests.fakes.builders import CHARACTER, JOB, LORA, START, a_plan, received
from tests.fakes.documents import FakeCollection

TRAINED = {"name": "Mia", "age": 27, "lora": LORA.model_dump()}
UNTRAINED = TRAINED | {"lora": None}


async def known(**fields: Any) -> KnownLora | None:
    record = {"_id": CHARACTER, "tenant": "acme", "character": UNTRAINED, "lora_state": "none"} | fields
    found = await MongoLoras(cast(Collection, FakeCollection(record))).of([CHARACTER, JOB])
    assert set(found) <= {CHARACTER}
    return found.get(CHARACTER)


@pytest.mark.parametrize("state", ["none", "training", None])
@pytest.mark.parametrize("character", [UNTRAINED, None])
async def test_a_lora_that_is_not_there_may_still_come(state: str | None, character: Any) -> None:
    assert await known(lora_state=state, character=character) == KnownLora("acme")


@pytest.mark.parametrize("state", ["ready", "training"])
async def test_a_lora_is_there_also_while_another_is_trained(state: str) -> None:
    assert await known(lora_state=state, character=TRAINED) == KnownLora("acme", LORA)


@pytest.mark.parametrize(("error", "why"), [("too dark", "too dark"), (None, "it gave no reason")])
async def test_a_failed_training_says_why(error: str | None, why: str) -> None:
    assert await known(lora_state="failed", lora_error=error) == KnownLora("acme", failure=why)


async def test_a_record_that_cannot_be_read_is_not_known_and_ends_nobody() -> None:
    with capture_logs() as logs:
        assert await known(character=TRAINED | {"lora": {"key": 7}}, lora_state="failed") is None
    assert [(each["event"], each["character_id"]) for each in logs] == [("lora_unreadable", CHARACTER)]


def test_characters_are_read_only_for_calls_of_those_who_wait() -> None:
    calls = [JobDue(job_id=JOB, due_at=START, character_id=one) for one in (CHARACTER, None, CHARACTER)]
    batch: list[Any] = [received(message) for message in (*calls, a_plan(character_id=JOB))]
    assert waited_for(batch) == {CHARACTER}
    assert waited_for(batch[1:2]) == set()
