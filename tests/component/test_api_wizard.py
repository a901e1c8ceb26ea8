"""`POST /v1/characters` with the answers of a wizard: flat or nested, in camel or snake case."""

from typing import Any

import httpx
import pytest

from contracts.characters import CharacterCreated
from tests.fakes.api import ApiBench

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
def bench() -> ApiBench:
    return ApiBench()


async def create(bench: ApiBench, body: Any) -> httpx.Response:
    return await bench.http.post("/v1/characters", json=body)


async def errors(bench: ApiBench, body: Any) -> dict[str, str]:
    answer = await create(bench, body)
    assert answer.status_code == 422, answer.text
    assert bench.broker.sent == []
    return {error["field"]: error["message"] for error in answer.json()["errors"]}


@pytest.mark.parametrize("beside_id", [False, True])
@pytest.mark.parametrize("answers", FORMS.values(), ids=FORMS)
async def test_every_form_of_the_answers_makes_the_same_character(
    bench: ApiBench, answers: dict[str, Any], beside_id: bool
) -> None:
    first = await create(bench, {"id": "char-123", "character": NESTED})
    answer = await create(bench, {"id": "char-123"} | (answers if beside_id else {"character": answers}))
    assert (answer.status_code, answer.json()) == (202, first.json())
    [created] = bench.broker.said(CharacterCreated)
    assert created.character.model_dump(exclude_defaults=True) == NESTED


async def test_flat_answers_without_an_id_get_one(bench: ApiBench) -> None:
    answer = await create(bench, MIA | {"eyeColor": "green"})
    assert answer.status_code == 202, answer.text
    view = await bench.http.get(f"/v1/characters/{answer.json()['id']}")
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
async def test_what_is_wrong_is_said_where_the_caller_wrote_it(
    bench: ApiBench, answers: dict[str, Any], field: str, message: str, place: str
) -> None:
    body = {"character": MIA | answers} if place else MIA | answers
    assert await errors(bench, body) == {f"{place}{field}": message.format(place=place)}


async def test_all_that_is_wrong_with_flat_answers_is_said_at_once(bench: ApiBench) -> None:
    assert await errors(bench, {"id": 5, "name": "Mia", "hairColour": "red"}) == {
        "id": "must be a text, got 5",
        "age": "is required",
        "hairColour": "is not a field here; did you mean 'appearance.hair_color'?",
    }


async def test_answers_in_two_places_are_refused(bench: ApiBench) -> None:
    assert await errors(bench, {"character": MIA, "hairColor": "red", "name": "Mia"}) == {
        "hairColor": "is not a field here; known fields: id, character",
        "name": "is not a field here; did you mean 'character.name'?",
    }


@pytest.mark.parametrize("body", [{}, {"id": "char-1"}, {"wizard": MIA}])
async def test_a_body_without_answers_is_told_to_bring_a_character(bench: ApiBench, body: Any) -> None:
    assert (await errors(bench, body))["character"] == "is required"


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
async def test_what_the_service_refuses_in_flat_answers_is_named_as_it_was_written(
    bench: ApiBench, answers: dict[str, Any], field: str, place: str
) -> None:
    body = {"character": MIA | answers} if place else MIA | answers
    assert list(await errors(bench, body)) == [f"{place}{field}"]


@pytest.mark.parametrize("answers", [{"appearance": {"a" * 50_000: 1}}, {f"n{n}": n for n in range(5_000)}])
async def test_very_many_or_long_unknown_answers_give_a_short_error(
    bench: ApiBench, answers: dict[str, Any]
) -> None:
    answer = await create(bench, MIA | answers)
    assert (answer.status_code, len(answer.json()["errors"]) <= 20) == (422, True)
    assert len(answer.content) < 20_000
