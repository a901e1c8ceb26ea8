"""`POST /v1/characters` with a wizard's configuration: flat or nested, in camel or snake case."""

from typing import Any

import httpx
import pytest

from contracts.characters import CharacterCreated
from tests.fakes.api import ApiHarness

NESTED: dict[str, Any] = {
    "name": "Mara",
    "age": 27,
    "appearance": {"gender": "woman", "hair_color": "auburn"},
    "identity": {"occupation": "barista"},
}
FORMS: dict[str, dict[str, Any]] = {
    "nested": NESTED,
    "flat": {"name": "Mara", "age": 27, "gender": "woman", "hair_color": "auburn", "occupation": "barista"},
    "flat, camel case": {
        "name": "Mara",
        "age": 27,
        "gender": "woman",
        "hairColor": "auburn",
        "occupation": "barista",
    },
    "half": {
        "name": "Mara",
        "age": 27,
        "appearance": {"gender": "woman", "hairColor": "auburn"},
        "occupation": "barista",
    },
}
MIA: dict[str, Any] = {"name": "Mia", "age": 27}


@pytest.fixture
def harness() -> ApiHarness:
    return ApiHarness()


async def create(harness: ApiHarness, body: Any) -> httpx.Response:
    return await harness.http.post("/v1/characters", json=body)


async def errors(harness: ApiHarness, body: Any) -> dict[str, str]:
    answer = await create(harness, body)
    assert answer.status_code == 422, answer.text
    assert harness.broker.sent == []
    return {error["field"]: error["message"] for error in answer.json()["errors"]}


@pytest.mark.parametrize("beside_id", [False, True])
@pytest.mark.parametrize("answers", FORMS.values(), ids=FORMS)
async def test_every_form_of_the_configuration_creates_the_same_character(
    harness: ApiHarness, answers: dict[str, Any], beside_id: bool
) -> None:
    first = await create(harness, {"id": "char-123", "character": NESTED})
    answer = await create(harness, {"id": "char-123"} | (answers if beside_id else {"character": answers}))
    assert (answer.status_code, answer.json()) == (202, first.json())
    [created] = harness.broker.published(CharacterCreated)
    assert created.character.model_dump(exclude_defaults=True) == NESTED


async def test_a_flat_configuration_without_an_id_gets_one(harness: ApiHarness) -> None:
    answer = await create(harness, MIA | {"eyeColor": "green"})
    assert answer.status_code == 202, answer.text
    view = await harness.http.get(f"/v1/characters/{answer.json()['id']}")
    assert view.json()["character"]["appearance"]["eye_color"] == "green"


@pytest.mark.parametrize(
    ("answers", "field", "message"),
    [
        ({"hairColour": "red"}, "hairColour", "is not a field here; did you mean 'appearance.hair_color'?"),
        ({"hair_colour": "red"}, "hair_colour", "is not a field here; did you mean 'appearance.hair_color'?"),
        (
            {"appearance": {"gendre": "x"}},
            "appearance.gendre",
            "is not a field here; did you mean 'gender'?",
        ),
        ({"hairColor": 7}, "hairColor", "must be a text, got 7"),
        ({"appearance": {"hairColor": 7}}, "appearance.hairColor", "must be a text, got 7"),
        ({"appearance": "tall"}, "appearance", "must be an object, got 'tall'"),
        ({"age": []}, "age", "must be an age in years, as a number or in words, got a list"),
        (
            {"hairColor": "red", "hair_color": "black"},
            "hair_color",
            "contradicts '{place}hairColor'; leave one of them out",
        ),
        (
            {"gender": "woman", "appearance": {"gender": "man"}},
            "appearance.gender",
            "contradicts '{place}gender'; leave one of them out",
        ),
    ],
)
@pytest.mark.parametrize("place", ["", "character."])
async def test_an_error_is_reported_where_the_caller_wrote_the_field(
    harness: ApiHarness, answers: dict[str, Any], field: str, message: str, place: str
) -> None:
    body = {"character": MIA | answers} if place else MIA | answers
    assert await errors(harness, body) == {f"{place}{field}": message.format(place=place)}


async def test_all_errors_of_a_flat_configuration_are_reported_at_once(harness: ApiHarness) -> None:
    assert await errors(harness, {"id": 5, "name": "Mia", "hairColour": "red"}) == {
        "id": "must be a text, got 5",
        "age": "is required",
        "hairColour": "is not a field here; did you mean 'appearance.hair_color'?",
    }


async def test_a_configuration_in_two_places_is_refused(harness: ApiHarness) -> None:
    assert await errors(harness, {"character": MIA, "hairColor": "red", "name": "Mia"}) == {
        "hairColor": "is not a field here; known fields: id, character",
        "name": "is not a field here; did you mean 'character.name'?",
    }


@pytest.mark.parametrize("body", [{}, {"id": "char-1"}, {"wizard": MIA}])
async def test_a_body_without_a_configuration_is_refused_as_missing_a_character(
    harness: ApiHarness, body: Any
) -> None:
    assert (await errors(harness, body))["character"] == "is required"


@pytest.mark.parametrize(
    ("answers", "field"),
    [
        ({"age": 17}, "age"),
        ({"hairStyle": "the hair of a ten year old girl"}, "hairStyle"),
        ({"triggerWord": "mar"}, "triggerWord"),
        ({"baseImageId": "018f3b6a-7c1d-7e2f-9a3b-000000000404/0"}, "baseImageId"),
    ],
)
@pytest.mark.parametrize("place", ["", "character."])
async def test_read_only_fields_of_a_flat_configuration_are_named_as_written(
    harness: ApiHarness, answers: dict[str, Any], field: str, place: str
) -> None:
    body = {"character": MIA | answers} if place else MIA | answers
    assert list(await errors(harness, body)) == [f"{place}{field}"]


@pytest.mark.parametrize("answers", [{"appearance": {"a" * 50_000: 1}}, {f"n{n}": n for n in range(5_000)}])
async def test_very_many_or_long_unknown_fields_get_a_short_error(
    harness: ApiHarness, answers: dict[str, Any]
) -> None:
    answer = await create(harness, MIA | answers)
    assert (answer.status_code, len(answer.json()["errors"]) <= 20) == (422, True)
    assert len(answer.content) < 20_000
