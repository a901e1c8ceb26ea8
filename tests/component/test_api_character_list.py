"""`GET /v1/characters`: stored and accepted characters of a tenant, newest first, page by page."""

from datetime import timedelta
from typing import Any

import pytest

from contracts.characters import ChosenFace
from tests.fakes.api import OTHER, ApiBench
from tests.fakes.builders import JOB
from tests.fakes.characters import MARA, a_character_record
from tests.fakes.jobs import a_job, a_render, a_stored_image

WIZARD = {"name": "Mara", "age": 27}


@pytest.fixture
def bench() -> ApiBench:
    bench = ApiBench()
    renders = (a_render(0), a_render(1, stored=a_stored_image(JOB, 1), state="done"))
    bench.jobs.put(a_job(job_id=JOB, type="base_image", renders=renders, character=MARA))
    return bench


async def create(bench: ApiBench, character_id: str) -> None:
    bench.wait(1)
    answer = await bench.http.post("/v1/characters", json={"id": character_id, "character": WIZARD})
    assert answer.status_code == 202, answer.text


async def select(bench: ApiBench, character_id: str) -> str:
    bench.wait(1)
    body = {"base_image_id": f"{JOB}/1"}
    answer = await bench.http.post(f"/v1/characters/{character_id}/base-image", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def store(bench: ApiBench, character_id: str, **fields: Any) -> None:
    bench.stories.put(a_character_record(character_id=character_id, created_at=bench.time, **fields))


async def listed(bench: ApiBench, query: str = "", **headers: Any) -> list[tuple[str, str]]:
    answer = await bench.http.get(f"/v1/characters?{query}", **headers)
    assert answer.status_code == 200, answer.text
    return [(each["id"], each["state"]) for each in answer.json()["characters"]]


async def pages(bench: ApiBench, limit: int) -> list[list[str]]:
    found, cursor = [], None
    while True:
        params = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        page = (await bench.http.get("/v1/characters", params=params)).json()
        found.append([each["id"] for each in page["characters"]])
        if (cursor := page["next_cursor"]) is None:
            return found


async def test_a_tenant_without_characters_has_an_empty_page(bench: ApiBench) -> None:
    answer = await bench.http.get("/v1/characters")
    assert (answer.status_code, answer.json()) == (200, {"characters": [], "next_cursor": None})


async def test_accepted_characters_are_listed_before_they_are_stored_and_once_after(bench: ApiBench) -> None:
    await create(bench, "first")
    await create(bench, "second")
    assert await listed(bench) == [("second", "pending"), ("first", "pending")]
    store(bench, "second")
    assert await listed(bench) == [("second", "stored"), ("first", "pending")]
    single = (await bench.http.get("/v1/characters/second")).json()
    assert (await bench.http.get("/v1/characters")).json()["characters"][0] == single


async def test_a_chosen_face_makes_a_character_that_is_listed_once(bench: ApiBench) -> None:
    await create(bench, "mara")
    await select(bench, "mara")
    assert await listed(bench) == [("mara", "pending")]
    assert await pages(bench, 1) == [["mara"]]


async def test_a_character_whose_creation_and_choice_lie_on_two_pages_is_listed_on_one(
    bench: ApiBench,
) -> None:
    await create(bench, "mara")
    await create(bench, "mia")
    await select(bench, "mara")
    assert await pages(bench, 1) == [["mara"], ["mia"]]


async def test_another_face_is_listed_as_pending_until_it_is_stored(bench: ApiBench) -> None:
    store(bench, "mara")
    chain = await select(bench, "mara")
    assert await listed(bench) == [("mara", "pending")]
    assert await listed(bench) == [("mara", "pending")], "it is not marked as stored"
    face = ChosenFace(base_image_id=f"{JOB}/1", chain_id=chain, at=bench.time)
    store(bench, "mara", faces=(face,))
    assert await listed(bench) == [("mara", "stored")]


async def test_another_face_is_shown_on_whatever_page_its_character_is(bench: ApiBench) -> None:
    for name in ("old", "middle", "new"):
        bench.wait(1)
        store(bench, name)
    await select(bench, "old")
    for _ in range(4):
        await create(bench, f"later-{_}")
    answer = await bench.http.get("/v1/characters?limit=100")
    by_id = {each["id"]: each["state"] for each in answer.json()["characters"]}
    assert (by_id["old"], by_id["middle"], len(by_id)) == ("pending", "stored", 7)
    assert [name for page in await pages(bench, 2) for name in page][-3:] == ["new", "middle", "old"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_all_pages_together_are_all_characters_in_order(bench: ApiBench, limit: int) -> None:
    expected = []
    for n in range(14):
        name = f"char-{n:02}"
        if n % 4 == 3:
            await select(bench, name)
        else:
            await create(bench, name)
        if n % 3:
            store(bench, name)
        expected.append(name)
    found = await pages(bench, limit)
    assert [name for page in found for name in page] == expected[::-1]
    assert {len(page) for page in found[:-1]} <= {limit}


async def test_characters_of_one_moment_are_listed_once_each(bench: ApiBench) -> None:
    for name in ("c", "a", "b", "\N{GRINNING FACE}", "auth0|5f7c"):
        store(bench, name)
    found = [name for page in await pages(bench, 2) for name in page]
    assert found == sorted(found, reverse=True)
    assert len(found) == 5


async def test_a_list_is_of_one_tenant_and_may_be_of_one_user(bench: ApiBench) -> None:
    store(bench, "anns")
    store(bench, "bobs", user_id="bob")
    store(bench, "theirs", tenant="other")
    await create(bench, "new")
    assert await listed(bench, headers=OTHER) == [("theirs", "stored")]
    assert await listed(bench, "user_id=bob") == [("bobs", "stored")]
    assert {name for name, _ in await listed(bench, "user_id=ann")} == {"anns", "new"}


async def test_a_submission_that_is_found_stored_is_not_read_by_the_next_listing(bench: ApiBench) -> None:
    for n in range(30):
        await create(bench, f"char-{n}")
        store(bench, f"char-{n}")
    await bench.http.get("/v1/characters?limit=4")
    assert bench.submissions.read > 1
    bench.submissions.read = 0
    await bench.http.get("/v1/characters?limit=4")
    assert bench.submissions.read == 1


async def test_a_job_and_a_cursor_of_jobs_are_no_characters(bench: ApiBench) -> None:
    await bench.submit()
    assert await listed(bench) == []
    for cursor in ("x", "", "bm9uZQ"):
        answer = await bench.http.get("/v1/characters", params={"cursor": cursor})
        assert answer.status_code == 400
        assert "cursor" in answer.json()["detail"]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "user_id=a%00b", "userId=ann"])
async def test_a_bad_filter_is_named(bench: ApiBench, query: str) -> None:
    answer = await bench.http.get(f"/v1/characters?{query}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [query.partition("=")[0]]


async def test_a_former_choice_of_a_face_is_found_stored(bench: ApiBench) -> None:
    await select(bench, "mara")
    bench.wait(5)
    store(bench, "mara", selected_at=bench.time + timedelta(seconds=1))
    assert await listed(bench) == [("mara", "stored")]
    assert len(bench.submissions.stored) == 1
