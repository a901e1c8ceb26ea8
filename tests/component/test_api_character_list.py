"""`GET /v1/characters`: stored and accepted characters of a tenant, newest first, page by page."""

from datetime import timedelta
from typing import Any

import pytest

from contracts.characters import ChosenFace
from tests.fakes.api import OTHER, ApiHarness
from tests.fakes.builders import JOB
from tests.fakes.characters import MARA, a_character_record
from tests.fakes.jobs import a_job, a_render, a_stored_image

WIZARD = {"name": "Mara", "age": 27}


@pytest.fixture
def harness() -> ApiHarness:
    harness = ApiHarness()
    renders = (a_render(0), a_render(1, stored=a_stored_image(JOB, 1), state="done"))
    harness.jobs.put(a_job(job_id=JOB, type="base_image", renders=renders, character=MARA))
    return harness


async def create(harness: ApiHarness, character_id: str) -> None:
    harness.wait(1)
    answer = await harness.http.post("/v1/characters", json={"id": character_id, "character": WIZARD})
    assert answer.status_code == 202, answer.text


async def select(harness: ApiHarness, character_id: str) -> str:
    harness.wait(1)
    body = {"base_image_id": f"{JOB}/1"}
    answer = await harness.http.post(f"/v1/characters/{character_id}/base-image", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def store(harness: ApiHarness, character_id: str, **fields: Any) -> None:
    harness.chains.put(a_character_record(character_id=character_id, created_at=harness.time, **fields))


async def listed(harness: ApiHarness, query: str = "", **headers: Any) -> list[tuple[str, str]]:
    answer = await harness.http.get(f"/v1/characters?{query}", **headers)
    assert answer.status_code == 200, answer.text
    return [(each["id"], each["state"]) for each in answer.json()["characters"]]


async def pages(harness: ApiHarness, limit: int) -> list[list[str]]:
    found, cursor = [], None
    while True:
        params = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        page = (await harness.http.get("/v1/characters", params=params)).json()
        found.append([each["id"] for each in page["characters"]])
        if (cursor := page["next_cursor"]) is None:
            return found


async def test_a_tenant_without_characters_has_an_empty_page(harness: ApiHarness) -> None:
    answer = await harness.http.get("/v1/characters")
    assert (answer.status_code, answer.json()) == (200, {"characters": [], "next_cursor": None})


async def test_an_accepted_character_is_listed_once_before_and_after_it_is_stored(
    harness: ApiHarness,
) -> None:
    await create(harness, "first")
    await create(harness, "second")
    assert await listed(harness) == [("second", "pending"), ("first", "pending")]
    store(harness, "second")
    assert await listed(harness) == [("second", "stored"), ("first", "pending")]
    single = (await harness.http.get("/v1/characters/second")).json()
    assert (await harness.http.get("/v1/characters")).json()["characters"][0] == single


async def test_a_chosen_face_makes_a_character_that_is_listed_once(harness: ApiHarness) -> None:
    await create(harness, "mara")
    await select(harness, "mara")
    assert await listed(harness) == [("mara", "pending")]
    assert await pages(harness, 1) == [["mara"]]


async def test_a_character_whose_creation_and_choice_lie_on_two_pages_is_listed_on_one(
    harness: ApiHarness,
) -> None:
    await create(harness, "mara")
    await create(harness, "mia")
    await select(harness, "mara")
    assert await pages(harness, 1) == [["mara"], ["mia"]]


async def test_another_face_is_listed_as_pending_until_it_is_stored(harness: ApiHarness) -> None:
    store(harness, "mara")
    chain = await select(harness, "mara")
    assert await listed(harness) == [("mara", "pending")]
    assert await listed(harness) == [("mara", "pending")], "it is not marked as stored"
    face = ChosenFace(base_image_id=f"{JOB}/1", chain_id=chain, at=harness.time)
    store(harness, "mara", faces=(face,))
    assert await listed(harness) == [("mara", "stored")]


async def test_another_face_is_shown_on_the_page_of_its_character(harness: ApiHarness) -> None:
    for name in ("old", "middle", "new"):
        harness.wait(1)
        store(harness, name)
    await select(harness, "old")
    for _ in range(4):
        await create(harness, f"later-{_}")
    answer = await harness.http.get("/v1/characters?limit=100")
    by_id = {each["id"]: each["state"] for each in answer.json()["characters"]}
    assert (by_id["old"], by_id["middle"], len(by_id)) == ("pending", "stored", 7)
    assert [name for page in await pages(harness, 2) for name in page][-3:] == ["new", "middle", "old"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_all_pages_together_are_all_characters_in_order(harness: ApiHarness, limit: int) -> None:
    expected = []
    for n in range(14):
        name = f"char-{n:02}"
        if n % 4 == 3:
            await select(harness, name)
        else:
            await create(harness, name)
        if n % 3:
            store(harness, name)
        expected.append(name)
    found = await pages(harness, limit)
    assert [name for page in found for name in page] == expected[::-1]
    assert {len(page) for page in found[:-1]} <= {limit}


async def test_characters_of_one_moment_are_listed_once_each(harness: ApiHarness) -> None:
    for name in ("c", "a", "b", "\N{GRINNING FACE}", "auth0|5f7c"):
        store(harness, name)
    found = [name for page in await pages(harness, 2) for name in page]
    assert found == sorted(found, reverse=True)
    assert len(found) == 5


async def test_a_list_is_of_one_tenant_and_may_be_of_one_user(harness: ApiHarness) -> None:
    store(harness, "anns")
    store(harness, "bobs", user_id="bob")
    store(harness, "theirs", tenant="other")
    await create(harness, "new")
    assert await listed(harness, headers=OTHER) == [("theirs", "stored")]
    assert await listed(harness, "user_id=bob") == [("bobs", "stored")]
    assert {name for name, _ in await listed(harness, "user_id=ann")} == {"anns", "new"}


async def test_a_submission_marked_as_stored_is_not_read_by_the_next_listing(harness: ApiHarness) -> None:
    for n in range(30):
        await create(harness, f"char-{n}")
        store(harness, f"char-{n}")
    await harness.http.get("/v1/characters?limit=4")
    assert harness.submissions.read > 1
    harness.submissions.read = 0
    await harness.http.get("/v1/characters?limit=4")
    assert harness.submissions.read == 1


async def test_jobs_are_not_listed_as_characters_and_their_cursors_are_refused(harness: ApiHarness) -> None:
    await harness.submit()
    assert await listed(harness) == []
    for cursor in ("x", "", "bm9uZQ"):
        answer = await harness.http.get("/v1/characters", params={"cursor": cursor})
        assert answer.status_code == 400
        assert "cursor" in answer.json()["detail"]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "user_id=a%00b", "userId=ann"])
async def test_a_bad_filter_is_named(harness: ApiHarness, query: str) -> None:
    answer = await harness.http.get(f"/v1/characters?{query}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [query.partition("=")[0]]


async def test_an_earlier_choice_of_a_face_is_marked_as_stored(harness: ApiHarness) -> None:
    await select(harness, "mara")
    harness.wait(5)
    store(harness, "mara", selected_at=harness.time + timedelta(seconds=1))
    assert await listed(harness) == [("mara", "stored")]
    assert len(harness.submissions.stored) == 1
