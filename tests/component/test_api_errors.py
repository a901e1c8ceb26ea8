"""Errors over HTTP are problem documents that name the cause and the remedy."""

import gzip
import json
import re
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from pymongo.errors import ServerSelectionTimeoutError
from structlog.testing import capture_logs

from contracts.generation import GenerationRequested
from contracts.strictness import read_message
from shared.http.identity import TRUSTED_HEADERS
from shared.kafka.decoding import explain
from tests.fakes.api import ApiHarness

CHARACTER: dict[str, Any] = {"name": "Mia", "age": 27}


@pytest.fixture
def harness() -> ApiHarness:
    return ApiHarness()


def problem_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem


async def submitted(harness: ApiHarness, body: Any) -> list[dict[str, str]]:
    errors: list[dict[str, str]] = problem_of(await harness.http.post("/v1/studio", json=body), 422)["errors"]
    assert harness.broker.sent == []
    return errors


@pytest.mark.parametrize("header", ["X-Tenant-Id", "X-User-Id"])
async def test_a_missing_identity_is_named(harness: ApiHarness, header: str) -> None:
    del harness.http.headers[header]
    problem = problem_of(await harness.submit(), 401)
    assert header in problem["detail"]


async def test_an_invalid_identity_is_refused(harness: ApiHarness) -> None:
    problem = problem_of(await harness.submit(headers={"X-Tenant-Id": "a b"}), 401)
    assert "X-Tenant-Id" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"character": {"age": 27}}, ["character.name"]),
        ({"character": CHARACTER | {"age": {}}}, ["character.age"]),
        ({"character": CHARACTER | {"appearance": {"gender": 7}}}, ["character.appearance.gender"]),
        ({"character": CHARACTER | {"name": "a\0b"}}, ["character.name"]),
        ({"character": CHARACTER, "count": 11}, ["count"]),
        ({"character": CHARACTER, "count": "many"}, ["count"]),
        ({"character": CHARACTER, "type": "base_image"}, ["type"]),
        ({"character": CHARACTER, "job_id": 7}, ["job_id"]),
        ({"character": CHARACTER, "notify": {"webhook_url": "ftp://a"}}, ["notify.webhook_url"]),
        ({"character": CHARACTER, "notify": {"webhook_url": "http://a/\0"}}, ["notify.webhook_url"]),
        ({"character": CHARACTER, "workflow": {"1": {"text": "\0"}}}, ["workflow.1.text"]),
        ({"character": CHARACTER, "workflow": {"1": [1, {"n": 2**64}]}}, ["workflow.1.1.n"]),
        ({"character": CHARACTER, "workflow": {"\0": 1}}, ["workflow"]),
        ({"count": 2}, ["body"]),
        ([], ["body"]),
        ("text", ["body"]),
        ({"character": {"name": 1, "age": []}}, ["character.name", "character.age"]),
    ],
)
async def test_each_wrong_field_is_named_as_the_caller_wrote_it(
    harness: ApiHarness, body: Any, fields: list[str]
) -> None:
    assert [error["field"] for error in await submitted(harness, body)] == fields


async def test_a_choice_of_types_is_explained_in_one_message(harness: ApiHarness) -> None:
    [error] = await submitted(harness, {"character": CHARACTER | {"age": []}})
    assert error["message"] == "must be an age in years, as a number or in words, got a list"


async def test_a_workflow_that_is_too_deep_to_store_is_refused(harness: ApiHarness) -> None:
    workflow: dict[str, Any] = {}
    for _ in range(200):
        workflow = {"n": workflow}
    [error] = await submitted(harness, {"character": CHARACTER, "workflow": workflow})
    assert error["field"].startswith("workflow.n.n")


@pytest.mark.parametrize("text", [b"{", b"\xff", b"", b"[" * 50_000, b'{"workflow": {"n": 1e999'])
async def test_a_body_that_is_not_json_is_a_problem(harness: ApiHarness, text: bytes) -> None:
    answer = await harness.http.post("/v1/studio", content=text, headers={"content-type": "application/json"})
    problem_of(answer, answer.status_code)
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", '"\\ud800"'])
async def test_values_that_json_or_mongo_cannot_store_are_refused(harness: ApiHarness, number: str) -> None:
    text = f'{{"character": {json.dumps(CHARACTER)}, "workflow": {{"n": {number}}}}}'
    answer = await harness.http.post("/v1/studio", content=text, headers={"content-type": "application/json"})
    assert [error["field"] for error in problem_of(answer, 422)["errors"]] == ["workflow.n"]


async def test_a_body_above_two_megabytes_is_refused(harness: ApiHarness) -> None:
    problem_of(await harness.submit(prompt="x" * 2_100_000), 413)

    async def pieces() -> Any:
        for _ in range(40):
            yield b" " * 65_536

    headers = {"content-type": "application/json"}
    problem_of(await harness.http.post("/v1/studio", content=pieces(), headers=headers), 413)


@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb", "é"])
async def test_a_bad_idempotency_key_is_named(harness: ApiHarness, key: str) -> None:
    headers = httpx.Headers({"Idempotency-Key": key}, encoding="latin-1")
    answer = await harness.http.post("/v1/studio", json={"character": CHARACTER}, headers=headers)
    assert [error["field"] for error in problem_of(answer, 422)["errors"]] == ["Idempotency-Key"]


async def test_unknown_paths_and_methods_are_problems(harness: ApiHarness) -> None:
    assert "/v1/nothing" in problem_of(await harness.http.get("/v1/nothing"), 404)["detail"]
    assert "DELETE" in problem_of(await harness.http.delete("/v1/studio"), 405)["detail"]


async def test_an_outage_of_mongo_is_503_with_retry_after(harness: ApiHarness) -> None:
    harness.submissions.failure = ServerSelectionTimeoutError("no server")
    answer = await harness.submit()
    detail = problem_of(answer, 503)["detail"]
    assert detail == "Service temporarily unavailable; retry after 2 s."
    assert int(answer.headers["Retry-After"]) > 0


async def test_an_internal_error_names_its_trace_id_and_no_internals(harness: ApiHarness) -> None:
    harness.submissions.failure = RuntimeError("secret")
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    with capture_logs() as logs:
        answer = await harness.submit(headers={"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"})
    detail = problem_of(answer, 500)["detail"]
    assert detail == f"Internal error; it was logged with trace id {trace_id}."
    assert [(line["event"], line["trace_id"]) for line in logs] == [("request_failed", trace_id)]


async def test_an_internal_error_without_a_trace_gets_a_new_trace_id(harness: ApiHarness) -> None:
    harness.submissions.failure = RuntimeError("secret")
    with capture_logs() as logs:
        details = [problem_of(await harness.submit(), 500)["detail"] for _ in range(2)]
    trace_ids = [detail.removesuffix(".").rpartition(" ")[2] for detail in details]
    assert [line["trace_id"] for line in logs] == trace_ids
    assert len({*trace_ids}) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", trace_id) for trace_id in trace_ids)


async def test_the_description_names_identity_problems_and_the_body(harness: ApiHarness) -> None:
    document = (await harness.http.get("/openapi.json")).json()
    post = document["paths"]["/v1/studio"]["post"]
    names = {parameter["name"]: parameter["required"] for parameter in post["parameters"]}
    assert names == {"X-Tenant-Id": True, "X-User-Id": True, "Idempotency-Key": False}
    assert set(post["responses"]) == {"202", "400", "401", "409", "413", "415", "422", "503"}
    assert "application/problem+json" in post["responses"]["422"]["content"]
    assert TRUSTED_HEADERS in document["info"]["description"]
    assert "openapi.json" in (await harness.http.get("/docs")).text


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None]
)
async def test_a_body_that_is_not_declared_as_json_is_answered_with_415(
    harness: ApiHarness, media_type: str | None
) -> None:
    body = json.dumps({"character": CHARACTER}).encode()
    headers = {"Content-Type": media_type} if media_type else {}
    problem = problem_of(await harness.http.post("/v1/studio", content=body, headers=headers), 415)
    assert "application/json" in problem["detail"]
    assert (media_type or "none") in problem["detail"]
    assert harness.broker.sent == []


async def test_json_with_a_charset_and_requests_without_a_body_are_accepted(harness: ApiHarness) -> None:
    body = json.dumps({"character": CHARACTER}).encode()
    headers = {"Content-Type": "application/json; charset=utf-8"}
    answer = await harness.http.post("/v1/studio", content=body, headers=headers)
    assert answer.status_code == 202
    assert (await harness.http.post(f"/v1/jobs/{answer.json()['id']}/cancel")).status_code == 202


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"a": nope}', "is not valid JSON: Expecting value at character 6"),
        (b'{"a":', "is not valid JSON: Expecting value at character 5"),
        (b'{"prompt":"\xff"}', "is not valid JSON: not valid UTF-8 at byte 11"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "is not valid JSON: nested too deeply"),
        (b'{"a":1} x', "is not valid JSON: Extra data at character 8"),
        (b'{"a":"' + b"x" * 20_000 + b'\xff"}', "is not valid JSON: not valid UTF-8 at byte 20006"),
    ],
)
async def test_invalid_json_is_reported_in_the_same_words_over_http_and_kafka(
    harness: ApiHarness, body: bytes, words: str
) -> None:
    headers = {"content-type": "application/json"}
    answer = await harness.http.post("/v1/studio", content=body, headers=headers)
    assert (answer.status_code, answer.json()["errors"]) == (422, [{"field": "body", "message": words}])
    with pytest.raises(ValidationError) as raised:
        read_message(GenerationRequested, body)
    assert raised.value.errors()[0]["type"] == "json_invalid"
    assert explain(raised.value) == f"body: {words}"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "GZIP", "gzip, identity"])
async def test_a_compressed_body_is_refused_as_such(harness: ApiHarness, coding: str) -> None:
    headers = {"content-type": "application/json", "content-encoding": coding}
    answer = await harness.http.post("/v1/studio", content=gzip.compress(b"{}"), headers=headers)
    assert answer.status_code == 415
    assert answer.json()["detail"] == f"Body must not be compressed: Content-Encoding is {coding.lower()}"


async def test_a_field_without_a_name_is_shown_as_one(harness: ApiHarness) -> None:
    answer = await harness.http.post("/v1/studio", json={"character": CHARACTER | {"": 1}, "": 2})
    assert [error["field"] for error in answer.json()["errors"]] == ['character.""', '""']


async def test_a_hint_names_only_what_is_really_close(harness: ApiHarness) -> None:
    answer = await harness.http.post("/v1/studio", json={"character": CHARACTER, "setId": "x", "sed": 1})
    messages = {error["field"]: error["message"] for error in answer.json()["errors"]}
    assert messages["sed"] == "is not a field here; did you mean 'seed'?"
    assert messages["setId"] == "is not a field here; 'set_id' is a field of type profile_pictures"
