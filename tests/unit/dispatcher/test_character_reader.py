"""State of a character's LoRA, read from its record."""

from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from contracts.characters import Character, CharacterRecord, character_key
from contracts.jobs import JobDue
from services.dispatcher.character_reader import MongoCharacterReader
from services.dispatcher.handlers import waited_for
from services.dispatcher.lora_waits import CharacterState
from shared.mongo import Collection
from tests.fakes.builders import CHAIN, CHARACTER, JOB, LORA, MIA, START, a_plan, due, received
from tests.fakes.documents import FakeCollection

WHO = Character(name="Mia", age=27, trigger_word=LORA.trigger_word)
TRAINED = WHO.model_copy(update={"lora": LORA})


def a_record(**fields: Any) -> CharacterRecord:
    known = {"character_id": CHARACTER, "tenant": "acme", "user_id": "ann", "character": WHO}
    return CharacterRecord.model_validate(known | {"created_at": START, "updated_at": START} | fields)


def a_chain(*states: str, **fields: Any) -> dict[str, Any]:
    """Return a running chain of a sheet and a training, whose steps are in these states."""
    types = ("character_sheet", "lora_training")
    steps = [{"type": type_, "state": state} for type_, state in zip(types, states, strict=False)]
    known = {"_id": CHAIN, "chain_id": CHAIN, "tenant": "acme", "character_id": CHARACTER}
    return known | {"state": "running", "steps": steps} | fields


async def known(*chains: dict[str, Any], **fields: Any) -> CharacterState | None:
    return await read({"_id": character_key(*MIA)} | a_record(**fields).model_dump(), *chains)


async def read(document: dict[str, Any], *chains: dict[str, Any]) -> CharacterState | None:
    wanted = [MIA, ("acme", JOB), ("other", CHARACTER)]
    collections = (FakeCollection(document), FakeCollection(*chains), FakeCollection())
    characters, stored_chains, selections = (cast(Collection, each) for each in collections)
    found = await MongoCharacterReader(characters, stored_chains, selections).states(wanted)
    assert set(found) <= {MIA}
    return found.get(MIA)


@pytest.mark.parametrize("state", ["none", "training"])
async def test_a_lora_that_is_not_ready_may_still_come(state: str) -> None:
    assert await known(lora_state=state) == CharacterState()


@pytest.mark.parametrize("state", ["ready", "training"])
async def test_a_lora_is_usable_while_another_is_trained(state: str) -> None:
    assert await known(lora_state=state, character=TRAINED) == CharacterState(LORA)


@pytest.mark.parametrize(("error", "why"), [("too dark", "too dark"), (None, "it gave no reason")])
async def test_a_failed_training_has_a_reason_and_a_time(error: str | None, why: str) -> None:
    told = await known(lora_state="failed", lora_error=error, lora_failed_at=START)
    assert told == CharacterState(failure=why, failed_at=START)


AHEAD = [a_chain("running", "waiting"), a_chain("completed", "running")]
PRESENT, EARLIER = [{"base_image_id": f"{JOB}/{index}", "chain_id": CHAIN, "at": START} for index in range(2)]


@pytest.mark.parametrize("chain", AHEAD)
@pytest.mark.parametrize("faces", [[], [PRESENT], [EARLIER | {"chain_id": JOB}]])
async def test_a_failure_does_not_count_while_a_running_chain_has_a_training_ahead(
    chain: dict[str, Any], faces: list[dict[str, Any]]
) -> None:
    state = await known(chain, lora_state="failed", lora_failed_at=START, faces=faces)
    assert state is not None
    assert (state.failure, state.failed_at) == (None, None)


@pytest.mark.parametrize(
    "chain",
    [
        a_chain("running"),
        a_chain("completed", "failed"),
        a_chain("failed", "waiting", state="failed"),
        a_chain("running", "waiting", tenant="other"),
        a_chain("running", "waiting", character_id=JOB),
    ],
)
async def test_a_failure_counts_if_no_running_chain_will_train_the_character(chain: dict[str, Any]) -> None:
    state = await known(chain, lora_state="failed", lora_failed_at=START)
    assert state is not None
    assert state.failed_at == START


async def test_a_failure_counts_if_the_training_ahead_is_on_an_earlier_face() -> None:
    faces = [EARLIER, PRESENT | {"chain_id": JOB}]
    state = await known(AHEAD[0], lora_state="failed", lora_failed_at=START, faces=faces)
    assert state is not None
    assert state.failed_at == START


async def test_a_record_that_cannot_be_read_counts_as_unknown() -> None:
    document = {"_id": character_key(*MIA)} | a_record(lora_state="failed").model_dump()
    with capture_logs() as logs:
        assert await read(document | {"character": {"lora": {"key": 7}}}) is None
    assert [(each["event"], each["character_id"]) for each in logs] == [("lora_unreadable", CHARACTER)]


def test_characters_are_read_only_for_waiting_jobs() -> None:
    calls = [JobDue(job_id=JOB, due_at=START), *[due(START, character_id=CHARACTER)] * 2]
    batch: list[Any] = [received(message) for message in (*calls, a_plan(character_id=JOB))]
    assert waited_for(batch) == {MIA}
    assert waited_for(batch[:1]) == set()
