"""Query parameters that an operation does not have are refused, at the api and at the notifier."""

import pytest

from tests.fakes.api import ApiHarness
from tests.fakes.jobs import a_story, job_of
from tests.fakes.notifier import NotifierHarness

JOB = "3f1c9a52-8d0e-4f6a-9b1e-6a1d2c3b4a01"
STATUS = "is not a query parameter here; did you mean 'status'?"
NONE = "is not a query parameter here; it takes none"


@pytest.mark.parametrize(
    ("path", "errors"),
    [
        ("/v1/jobs?stats=pending&limit=2", {"stats": STATUS}),
        (
            "/v1/jobs?userId=ann&page=2",
            {
                "userId": "is not a query parameter here; did you mean 'user_id'?",
                "page": "is not a query parameter here; known parameters:"
                " status, type, user_id, limit, cursor",
            },
        ),
        (f"/v1/jobs/{JOB}?expand=images", {"expand": NONE}),
        ("/v1/characters/char-1?x=1", {"x": NONE}),
    ],
)
async def test_the_api_refuses_unknown_query_parameters(path: str, errors: dict[str, str]) -> None:
    answer = await ApiHarness().http.get(path)
    assert answer.status_code == 422
    assert {error["field"]: error["message"] for error in answer.json()["errors"]} == errors


async def test_a_request_with_an_unknown_query_parameter_is_not_accepted() -> None:
    bench = ApiHarness()
    answer = await bench.submit("/v1/studio?dry_run=true")
    assert (answer.status_code, answer.json()["errors"]) == (422, [{"field": "dry_run", "message": NONE}])
    assert not bench.submissions.kept


async def test_the_notifier_refuses_unknown_query_parameters() -> None:
    bench = NotifierHarness()
    for path, meant in (
        ("/v1/webhooks/deliveries?stat=failed", "state"),
        (f"/v1/jobs/{JOB}/events?last-event-id=3", "last_event_id"),
    ):
        answer = await bench.http.get(path)
        assert answer.status_code == 422
        [error] = answer.json()["errors"]
        assert error["message"] == f"is not a query parameter here; did you mean '{meant}'?"


async def test_an_event_source_polyfill_goes_on_where_it_was() -> None:
    bench = NotifierHarness()
    story = a_story("accepted", "started", "image_ready", "completed")
    bench.jobs.put(job_of(story))
    answer = await bench.http.get(f"/v1/jobs/{story[0].job_id}/events", params={"lastEventId": "2"})
    assert answer.status_code == 200
    assert "id: 3\n" in answer.text
    assert "id: 2\n" not in answer.text


TWICE = "must be given once, is given 2 times"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/jobs?status=pending&status=failed", ["status"]),
        ("/v1/jobs?limit=1&limit=1", ["limit"]),
        ("/v1/characters?limit=1&cursor=&limit=2", ["limit"]),
    ],
)
async def test_a_query_parameter_that_is_given_twice_is_refused(path: str, fields: list[str]) -> None:
    answer = await ApiHarness().http.get(path)
    assert answer.status_code == 422
    assert {error["field"]: error["message"] for error in answer.json()["errors"]} == dict.fromkeys(
        fields, TWICE
    )


@pytest.mark.parametrize("name", ["X-User-Id", "X-Tenant-Id", "Idempotency-Key"])
async def test_a_header_that_is_given_twice_is_refused(name: str) -> None:
    bench = ApiHarness()
    own = {"X-User-Id": "ann", "X-Tenant-Id": "acme", "Idempotency-Key": "k"}
    headers = [*own.items(), (name.lower(), "other"), ("traceparent", "x"), ("traceparent", "y")]
    body = {"character": {"name": "Mia", "age": 27}}
    bench.http.headers.clear()
    answer = await bench.http.post("/v1/studio", json=body, headers=headers)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"] == [{"field": name, "message": TWICE}]
    assert not bench.submissions.kept


async def test_the_notifier_refuses_repeated_headers_and_parameters() -> None:
    http = NotifierHarness().http
    headers = [("X-User-Id", "ann"), ("X-User-Id", "bob"), ("X-Tenant-Id", "acme")]
    http.headers.clear()
    answer = await http.get("/v1/webhooks/deliveries?state=failed&state=failed", headers=headers)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["X-User-Id", "state"]


async def test_a_parameter_without_a_name_is_shown_as_one() -> None:
    answer = await ApiHarness().http.get("/v1/jobs?=1")
    assert [error["field"] for error in answer.json()["errors"]] == ['""']
