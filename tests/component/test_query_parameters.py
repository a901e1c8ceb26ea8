"""Query parameters that an operation does not have are refused, at the api and at the notifier."""

import pytest

from tests.fakes.api import ApiBench
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
    answer = await ApiBench().http.get(path)
    assert answer.status_code == 422
    assert {error["field"]: error["message"] for error in answer.json()["errors"]} == errors


async def test_a_request_with_an_unknown_query_parameter_is_not_accepted() -> None:
    bench = ApiBench()
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
