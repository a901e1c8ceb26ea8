"""The rules of accepting a request."""

from typing import Any

import pytest

from contracts.http import StudioSubmission
from services.api.domain import Accepted, Caller, Conflict, accept, earlier_submission, storage_errors
from shared.ids import uuid7
from tests.fakes.jobs import START

ANN = Caller(tenant="acme", user_id="ann")
JOB = "0195940a-5b40-7d3e-b0c4-8a6b2d7e9f01"


def a_submission(**fields: Any) -> StudioSubmission:
    return StudioSubmission.model_validate({"character": {"name": "Mia", "age": 27}} | fields)


def accepted(caller: Caller = ANN, key: str | None = None, job_id: str = JOB, **fields: Any) -> Accepted:
    return accept(a_submission(**fields), caller, key=key, job_id=job_id, now=START)[0]


def test_the_message_has_the_request_without_the_fields_beside_it() -> None:
    submission = a_submission(count=3, job_id=JOB, notify={"webhook_url": "https://a.example"})
    record, message = accept(submission, ANN, key="k", job_id=JOB, now=START)
    assert message.notify.webhook_url == "https://a.example"
    assert '"notify"' not in message.request.model_dump_json()
    assert (record.requested, record.type, record.requested_at) == (3, "studio", START)


def test_the_hash_ignores_defaults_and_the_job_id() -> None:
    assert accepted().submission_hash == accepted(type="studio", count=1, job_id=uuid7()).submission_hash
    assert accepted().submission_hash != accepted(count=2).submission_hash
    assert accepted().submission_hash != accepted(notify={"webhook_url": "https://a.example"}).submission_hash
    assert accepted().submission_hash != accepted(Caller(tenant="acme", user_id="bob")).submission_hash


def test_a_repetition_returns_the_first_submission() -> None:
    first = accepted(key="k")
    assert earlier_submission(accepted(key="k", job_id=uuid7()), None, [first]) is first


@pytest.mark.parametrize(
    ("asked_id", "again"),
    [
        (None, accepted(key="k", count=2)),
        ("0195940a-5b40-7d3e-b0c4-8a6b2d7e9f02", accepted(key="k")),
        (JOB, accepted(Caller(tenant="other", user_id="ann"))),
    ],
)
def test_another_request_with_the_same_key_or_id_is_a_conflict(asked_id: str | None, again: Accepted) -> None:
    with pytest.raises(Conflict):
        earlier_submission(again, asked_id, [accepted(key="k")])


def test_an_ordinary_workflow_can_be_stored() -> None:
    workflow = {"3": {"inputs": {"seed": 2**53, "cfg": 7.5, "model": ["4", 0], "text": "Füße\n"}, "on": True}}
    assert storage_errors(a_submission(workflow=workflow)) == ()
