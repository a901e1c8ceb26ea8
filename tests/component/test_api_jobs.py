"""Views, results, lists and cancellation of a tenant's jobs."""

from datetime import timedelta

import pytest

from contracts.jobs import Attempt, Cost, JobError
from contracts.notices import Notice
from services.api.ports import Preview
from shared.ids import uuid7
from tests.fakes.api import OTHER, ApiHarness
from tests.fakes.jobs import START, a_job, a_render, a_stored_image, a_stored_lora


@pytest.fixture
def harness() -> ApiHarness:
    harness = ApiHarness()
    harness.time = START + timedelta(seconds=4)
    return harness


def an_attempt(n: int, cost: float | None, billed: str = "yes") -> Attempt:
    return Attempt.model_validate(
        {"n": n, "provider": "fal", "requested_at": START, "cost_usd": cost, "billed": billed}
    )


async def test_a_running_job_shows_its_images_and_the_time_so_far(harness: ApiHarness) -> None:
    job = harness.jobs.put(
        a_job(
            requested=2,
            renders=(
                a_render(0, state="running", percent=40),
                a_render(1, state="queued", queue_position=3),
            ),
        )
    )
    view = (await harness.http.get(f"/v1/jobs/{job.job_id}")).json()
    assert (view["status"], view["phase"], view["elapsed_seconds"]) == ("running", "rendering", 4.0)
    assert view["deadline_at"] == "2030-01-01T12:05:00Z"
    first, second = view["images"]
    assert (first["label"], first["state"], first["percent"]) == ("shot 0", "running", 40)
    assert second["queue_position"] == 3


async def test_a_job_that_waits_for_a_lora_shows_its_phase(harness: ApiHarness) -> None:
    waiting = {"status": "pending", "phase": "waiting_for_lora", "renders": (a_render(state="waiting"),)}
    job = harness.jobs.put(a_job(**waiting, deadline_at=START + timedelta(hours=2)))
    view = (await harness.http.get(f"/v1/jobs/{job.job_id}")).json()
    assert (view["status"], view["phase"], view["target_seconds"]) == ("pending", "waiting_for_lora", 15.0)
    assert (view["elapsed_seconds"], view["deadline_at"]) == (4.0, "2030-01-01T14:00:00Z")


async def test_a_billed_job_shows_its_cost_as_a_number_and_whether_it_is_estimated(
    harness: ApiHarness,
) -> None:
    attempts = (an_attempt(1, None, "unknown"), an_attempt(2, 0.01))
    cost = Cost(attempts=2, usd=0.01, estimated=True, unknown=1)
    job = harness.jobs.put(a_job(renders=(a_render(0, attempts=attempts),), cost=cost))
    view = (await harness.http.get(f"/v1/jobs/{job.job_id}")).json()
    assert (view["attempts"], view["cost_usd"], view["cost_estimated"]) == (2, 0.01, True)


async def test_a_job_shows_notices(harness: ApiHarness) -> None:
    notice = Notice(code="outputs_dropped", message="3 more images", images=(0,))
    job = harness.jobs.put(a_job(renders=(a_render(0),), notices=(notice,)))
    view = (await harness.http.get(f"/v1/jobs/{job.job_id}")).json()
    assert view["notices"] == [{"code": "outputs_dropped", "message": "3 more images", "images": [0]}]


async def test_a_job_that_has_cost_nothing_yet_shows_zero(harness: ApiHarness) -> None:
    job_id = (await harness.submit()).json()["id"]
    view = (await harness.http.get(f"/v1/jobs/{job_id}")).json()
    assert (view["cost_usd"], view["cost_estimated"]) == (0.0, False)


async def test_a_job_without_a_plan_is_pending(harness: ApiHarness) -> None:
    job_id = (await harness.submit(count=4)).json()["id"]
    harness.wait(1)
    view = (await harness.http.get(f"/v1/jobs/{job_id}")).json()
    assert (view["status"], view["requested"], view["elapsed_seconds"]) == ("pending", 4, 1.0)
    results = (await harness.http.get(f"/v1/jobs/{job_id}/results")).json()
    assert (results["status"], results["images"]) == ("pending", [])


@pytest.mark.parametrize("path", ["", "/results", "/cancel"])
async def test_another_tenants_job_is_404(harness: ApiHarness, path: str) -> None:
    planned = harness.jobs.put(a_job()).job_id
    accepted = (await harness.submit()).json()["id"]
    for job_id in (planned, accepted, uuid7()):
        method = "POST" if path == "/cancel" else "GET"
        answer = await harness.http.request(method, f"/v1/jobs/{job_id}{path}", headers=OTHER)
        assert answer.status_code == 404
        assert answer.json()["detail"] == f"job {job_id} does not exist"
    assert harness.broker.cancels() == []


async def test_results_have_fresh_links_each_time(harness: ApiHarness) -> None:
    job_id = uuid7()
    stored = a_stored_image(job_id)
    renders = (a_render(0, state="done", stored=stored), a_render(1))
    harness.jobs.put(a_job(job_id=job_id, renders=renders, requested=2, delivered=1))
    harness.assets.kept[f"{job_id}/0"] = Preview(key="small", placeholder="1QcSHQ")
    first = (await harness.http.get(f"/v1/jobs/{job_id}/results")).json()
    again = (await harness.http.get(f"/v1/jobs/{job_id}/results")).json()
    [image] = first["images"]
    assert image["url"].startswith(f"https://bucket.example/{stored.key}?")
    assert image["preview_url"].startswith("https://bucket.example/small?")
    assert (image["placeholder"], image["provider"], image["seed"]) == ("1QcSHQ", "modal", 7)
    assert image["expires_at"] == "2030-01-01T12:10:04Z"
    assert image["url"] != again["images"][0]["url"]


async def test_a_trainings_result_is_its_lora_with_fresh_links(harness: ApiHarness) -> None:
    job_id = uuid7()
    lora = a_stored_lora(job_id)
    harness.jobs.put(a_job(job_id=job_id, type="lora_training", renders=(a_render(0, lora=lora),)))
    results = (await harness.http.get(f"/v1/jobs/{job_id}/results")).json()
    [found] = results["loras"]
    assert results["images"] == []
    assert found["url"].startswith(f"https://bucket.example/{lora.key}?")
    assert found["manifest_url"].startswith(f"https://bucket.example/{lora.manifest_key}?")
    assert (found["key"], found["trigger_word"], found["base_model"]) == (lora.key, "mia7", "FLUX.1-dev")
    assert (found["sha256"], found["bytes"], found["steps"]) == ("aa", 1000, 1200)
    assert found["expires_at"] == "2030-01-01T12:10:04Z"


async def test_results_do_not_wait_for_previews(harness: ApiHarness) -> None:
    job_id = uuid7()
    harness.jobs.put(a_job(job_id=job_id, renders=(a_render(0, stored=a_stored_image(job_id)),)))
    [image] = (await harness.http.get(f"/v1/jobs/{job_id}/results")).json()["images"]
    assert (image["preview_url"], image["placeholder"]) == (None, None)


async def test_jobs_are_listed_newest_first_page_by_page(harness: ApiHarness) -> None:
    jobs = [harness.jobs.put(a_job(requested_at=START + timedelta(seconds=n // 2))) for n in range(7)]
    expected = [
        job.job_id for job in sorted(jobs, key=lambda job: (job.requested_at, job.job_id), reverse=True)
    ]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        params = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = (await harness.http.get("/v1/jobs", params=params)).json()
        seen += [job["id"] for job in page["jobs"]]
        cursor = page["next_cursor"]
    assert seen == expected


async def test_an_accepted_job_is_listed_once_before_and_after_it_is_planned(harness: ApiHarness) -> None:
    accepted = (await harness.submit()).json()["id"]
    planned = harness.jobs.put(a_job(requested_at=harness.time - timedelta(seconds=1))).job_id
    listed = (await harness.http.get("/v1/jobs")).json()["jobs"]
    assert [(job["id"], job["status"]) for job in listed] == [(accepted, "pending"), (planned, "running")]
    harness.jobs.put(a_job(job_id=accepted, requested_at=harness.time))
    listed = (await harness.http.get("/v1/jobs")).json()["jobs"]
    assert [(job["id"], job["status"]) for job in listed] == [(accepted, "running"), (planned, "running")]
    assert (await harness.http.get("/v1/jobs?status=pending")).json()["jobs"] == []


async def test_a_filtered_list_without_matches_is_one_empty_page_without_a_cursor(
    harness: ApiHarness,
) -> None:
    for _ in range(32):
        planned_later = (await harness.submit()).json()["id"]
        harness.jobs.put(a_job(job_id=planned_later, requested_at=harness.time))
    answer = (await harness.http.get("/v1/jobs?status=pending&limit=5")).json()
    assert answer == {"jobs": [], "next_cursor": None}


async def test_a_filtered_page_is_full_while_there_is_more(harness: ApiHarness) -> None:
    waiting = []
    for n in range(40):
        harness.wait(1)
        job_id = (await harness.submit()).json()["id"]
        if n % 5:
            harness.jobs.put(a_job(job_id=job_id, requested_at=harness.time))
        else:
            waiting.append(job_id)
    sizes, seen = [], []
    params: dict[str, str] | None = {"status": "pending", "limit": "3"}
    while params is not None:
        page = (await harness.http.get("/v1/jobs", params=params)).json()
        sizes.append(len(page["jobs"]))
        seen += [job["id"] for job in page["jobs"]]
        params = params | {"cursor": page["next_cursor"]} if page["next_cursor"] else None
    assert sizes == [3, 3, 2]
    assert seen == waiting[::-1]


async def test_a_submission_marked_as_planned_is_not_read_by_the_next_listing(harness: ApiHarness) -> None:
    for _ in range(30):
        job_id = (await harness.submit()).json()["id"]
        harness.jobs.put(a_job(job_id=job_id, requested_at=harness.time))
    await harness.http.get("/v1/jobs?status=pending&limit=4")
    assert harness.submissions.read > 1
    harness.submissions.read = 0
    await harness.http.get("/v1/jobs?status=pending&limit=4")
    assert harness.submissions.read == 1


async def test_a_list_is_narrowed_by_status_type_and_user(harness: ApiHarness) -> None:
    done = harness.jobs.put(a_job(status="completed", elapsed_seconds=3.0)).job_id
    sheet = harness.jobs.put(a_job(type="character_sheet")).job_id
    bobs = harness.jobs.put(a_job(user_id="bob")).job_id
    harness.jobs.put(a_job(tenant="other"))

    async def ids(query: str) -> list[str]:
        return [job["id"] for job in (await harness.http.get(f"/v1/jobs?{query}")).json()["jobs"]]

    assert await ids("status=completed") == [done]
    assert await ids("type=character_sheet") == [sheet]
    assert await ids("user_id=bob") == [bobs]
    assert set(await ids("")) == {done, sheet, bobs}


@pytest.mark.parametrize("cursor", ["x", "é", "bm9uZQ", "WzEsMl0", ""])
async def test_a_bad_cursor_is_a_problem(harness: ApiHarness, cursor: str) -> None:
    answer = await harness.http.get("/v1/jobs", params={"cursor": cursor})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "status=gone", "type=video", "user_id=a%00b"])
async def test_a_bad_filter_is_named(harness: ApiHarness, query: str) -> None:
    answer = await harness.http.get(f"/v1/jobs?{query}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [query.partition("=")[0]]


async def test_a_cancel_is_accepted_and_published(harness: ApiHarness) -> None:
    job = harness.jobs.put(a_job())
    answer = await harness.http.post(f"/v1/jobs/{job.job_id}/cancel")
    assert answer.status_code == 202
    [cancel] = harness.broker.cancels()
    assert (cancel.job_id, cancel.tenant) == (job.job_id, "acme")


async def test_a_cancel_is_not_lost_while_kafka_is_away(harness: ApiHarness) -> None:
    job = harness.jobs.put(a_job())
    harness.broker.away = True
    assert (await harness.http.post(f"/v1/jobs/{job.job_id}/cancel")).status_code == 202
    harness.broker.away = False
    assert await harness.sweep() == 1
    assert len(harness.broker.cancels()) == 1


async def test_an_ended_job_is_not_cancelled(harness: ApiHarness) -> None:
    job = harness.jobs.put(a_job(status="completed", elapsed_seconds=3.0))
    answer = await harness.http.post(f"/v1/jobs/{job.job_id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    assert harness.broker.cancels() == []


async def test_a_job_cancelled_before_its_plan_shows_its_request(harness: ApiHarness) -> None:
    job_id = (await harness.submit("/v1/base-images")).json()["id"]
    error = JobError(code="cancelled", message="cancelled by the caller")
    harness.jobs.put(
        a_job(
            job_id=job_id,
            request_hash="",
            placeholder=True,
            user_id="unknown",
            requested=0,
            status="failed",
            error=error,
            renders=(),
        )
    )
    view = (await harness.http.get(f"/v1/jobs/{job_id}")).json()
    assert (view["type"], view["user_id"], view["requested"]) == ("base_image", "ann", 3)
    assert (view["status"], view["error"]["code"]) == ("failed", "cancelled")
