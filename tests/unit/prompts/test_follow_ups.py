"""Follow-ups are checked with their request, so that no chain fails later for a known reason."""

from typing import Any

import pytest

from contracts.characters import Character
from contracts.generation import GenerationPlanned, GenerationRejected, GenerationRequested
from prompts.catalogue import default_catalogue
from prompts.planner import plan
from tests.unit.prompts.examples import AT, CHARACTER, JOB, LORA, MIA, STORED_MIA, requested
from tests.unit.workflow_graphs import drawing

TRAIN = {"type": "lora_training"}
SHOTS = {"type": "studio", "scene": "beach"}
PROFILE = {"type": "profile_pictures", "set_id": "classic"}
CHAIN = "0190a6a0-0000-7000-8000-0000000000d1"


def chain(type_: str, *then: dict[str, Any], **request: Any) -> GenerationRequested:
    asked = requested(type_, **request).model_dump()
    return GenerationRequested.model_validate(asked | {"then": then})


def made(asked: GenerationRequested, stored: Character | None = None) -> Any:
    return plan(asked, character=stored, requested_at=AT, catalogue=default_catalogue())


def reasons(
    type_: str, *then: dict[str, Any], stored: Character | None = None, **request: Any
) -> dict[str, str]:
    rejected = made(chain(type_, *then, **request), stored)
    assert isinstance(rejected, GenerationRejected), rejected
    found = {reason.field: reason.message for reason in rejected.reasons}
    assert len(found) == len(rejected.reasons), "nothing is said twice"
    return found


def test_a_sheet_may_be_followed_by_its_training_and_then_by_pictures() -> None:
    planned = made(chain("character_sheet", TRAIN, SHOTS | {"mode": "lora", "count": 10}, PROFILE))
    assert isinstance(planned, GenerationPlanned)


def test_a_training_may_be_followed_by_pictures() -> None:
    planned = made(chain("lora_training", SHOTS | {"mode": "lora"}, PROFILE), STORED_MIA)
    assert isinstance(planned, GenerationPlanned)


def test_a_chain_and_its_inline_character_have_the_id_of_the_first_job() -> None:
    planned = made(chain("character_sheet", TRAIN))
    assert (planned.chain_id, planned.character_id, planned.character) == (JOB, JOB, MIA)
    rejected = made(chain("character_sheet", TRAIN, count=10, prompt="teens"))
    assert (rejected.chain_id, rejected.character_id, rejected.character) == (JOB, JOB, MIA)


def test_a_chain_with_an_id_keeps_it_and_its_stored_character() -> None:
    asked = chain("character_sheet", TRAIN, character_id=CHARACTER)
    planned = made(asked.model_copy(update={"chain_id": CHAIN}), STORED_MIA)
    assert (planned.chain_id, planned.character_id, planned.character) == (CHAIN, CHARACTER, STORED_MIA)


def test_an_inline_character_without_a_chain_has_no_id() -> None:
    planned = made(requested("character_sheet"))
    assert (planned.chain_id, planned.character_id, planned.character) == (None, None, MIA)


@pytest.mark.parametrize("type_", ["base_image", "studio", "profile_pictures"])
def test_a_type_without_follow_ups_refuses_them(type_: str) -> None:
    found = reasons(type_, TRAIN, SHOTS)
    assert found == {"then": f"can follow a character_sheet or a lora_training, not {type_}"}


@pytest.mark.parametrize(
    ("type_", "then", "wrong"),
    [
        ("character_sheet", (SHOTS, TRAIN), ["then.1.type"]),
        ("character_sheet", (TRAIN, TRAIN), ["then.1.type"]),
        ("character_sheet", (TRAIN, SHOTS, TRAIN, TRAIN), ["then.2.type", "then.3.type"]),
        ("lora_training", (TRAIN,), ["then.0.type"]),
    ],
)
def test_a_training_must_be_the_first_follow_up_of_a_sheet(
    type_: str, then: tuple[dict[str, Any], ...], wrong: list[str]
) -> None:
    assert list(reasons(type_, *then, stored=STORED_MIA)) == wrong


def test_an_unknown_set_is_reported_with_its_position() -> None:
    found = reasons("character_sheet", TRAIN, PROFILE | {"set_id": "vacation"})
    assert list(found) == ["then.1.set_id"]
    assert "known sets: classic" in found["then.1.set_id"]


@pytest.mark.parametrize("field", ["prompt", "scene", "outfit", "style", "quality"])
def test_a_minor_in_a_follow_up_is_rejected_with_the_request(field: str) -> None:
    found = reasons("character_sheet", TRAIN, SHOTS | {field: "with a teenager"})
    assert list(found) == [f"then.1.{field}"]
    assert "only adults can be drawn" in found[f"then.1.{field}"]


def test_fields_of_a_follow_up_that_mention_a_minor_in_combination_are_rejected() -> None:
    found = reasons("character_sheet", TRAIN, SHOTS | {"scene": "16", "prompt": "years old"})
    assert list(found) == ["then.1"]


def test_the_wording_of_a_workflow_in_a_follow_up_is_checked() -> None:
    nodes = drawing() | {"6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a nude portrait"}}}
    found = reasons("character_sheet", TRAIN, SHOTS | {"workflow": nodes})
    assert list(found) == ["then.1.workflow.6.inputs.text"]
    allowed = made(chain("character_sheet", TRAIN, SHOTS | {"workflow": nodes, "include_nsfw": True}))
    assert isinstance(allowed, GenerationPlanned)


def test_explicit_wording_in_a_follow_up_is_accepted_and_removed_later() -> None:
    assert isinstance(made(chain("character_sheet", TRAIN, SHOTS | {"prompt": "nude"})), GenerationPlanned)


def test_a_reason_about_the_character_is_reported_once_with_its_own_path() -> None:
    child = MIA.model_copy(update={"age": 12})
    assert list(reasons("character_sheet", TRAIN, SHOTS, PROFILE, character=child)) == [
        "request.character.age"
    ]


def test_an_unknown_character_is_reported_once() -> None:
    found = reasons("character_sheet", TRAIN, SHOTS, PROFILE, character_id=CHARACTER)
    assert found == {"request.character_id": f"character {CHARACTER} does not exist"}


def test_a_follow_up_without_its_lora_is_rejected_with_the_request() -> None:
    found = reasons("character_sheet", SHOTS | {"mode": "lora"})
    assert list(found) == ["then.0.mode"]
    waits = made(chain("character_sheet", SHOTS | {"mode": "lora", "wait_for_lora": True}))
    assert isinstance(waits, GenerationPlanned)
    has_one = STORED_MIA.model_copy(update={"lora": LORA})
    ready = made(chain("character_sheet", SHOTS | {"mode": "lora"}, character_id=CHARACTER), has_one)
    assert isinstance(ready, GenerationPlanned)


def test_a_face_exists_after_a_sheet_but_not_after_a_training_alone() -> None:
    swap = SHOTS | {"mode": "face_swap"}
    assert isinstance(made(chain("character_sheet", TRAIN, swap)), GenerationPlanned)
    assert list(reasons("lora_training", swap, stored=STORED_MIA)) == ["request.character.base_image_id"]


def test_all_reasons_of_a_chain_are_reported_together() -> None:
    found = reasons(
        "character_sheet",
        PROFILE | {"set_id": "vacation"},
        TRAIN,
        SHOTS | {"prompt": "kids", "outfit": "for a toddler"},
        prompt="teens",
    )
    assert sorted(found) == [
        "request.prompt",
        "then.0.set_id",
        "then.1.type",
        "then.2.outfit",
        "then.2.prompt",
    ]
