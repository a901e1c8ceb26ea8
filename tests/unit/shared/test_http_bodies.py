"""Small bodies are read on the event loop, large ones in a thread, with the same answers."""

import json
import threading
from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Header
from pydantic import field_validator

from contracts.strictness import Body
from shared.http.bodies import SMALL_BODY_BYTES, JsonRoute, offload
from shared.http.problems import install_problems

LARGE = " " * SMALL_BODY_BYTES
HEADERS = {"X-Tenant-Id": "acme", "Content-Type": "application/json"}


def thread() -> str:
    return threading.current_thread().name.partition("_")[0]


class Noted(Body):
    """Notes the thread that checks it."""

    name: str

    @field_validator("name")
    @classmethod
    def _short(cls, name: str) -> str:
        checks.append(thread())
        return name


checks: list[str] = []


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    checks.clear()
    router = APIRouter(route_class=JsonRoute)

    @router.post("/")
    async def post(body: Noted, x_tenant_id: Annotated[str, Header()]) -> list[str]:
        return [body.name, await offload(thread), thread()]

    app = FastAPI()
    app.include_router(router)
    install_problems(app)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://here", headers=HEADERS
    ) as client:
        yield client


async def test_a_small_body_takes_no_thread(http: httpx.AsyncClient) -> None:
    answer = await http.post("/", content=b'{"name": "x"}')
    assert (answer.json(), checks) == (["x", "MainThread", "MainThread"], ["MainThread"])


async def test_a_large_body_is_checked_once_and_worked_on_in_a_thread(http: httpx.AsyncClient) -> None:
    answer = await http.post("/", content=f'{{"name": "x"{LARGE}}}')
    assert (answer.json(), checks) == (["x", "large-body", "MainThread"], ["large-body"])
    answer = await http.post("/", content=b'{"name": "x"}')
    assert answer.json()[1] == "MainThread", "the size of one request is not that of the next"


@pytest.mark.parametrize(
    "body",
    [
        '{"name": 1, nam: 2}',
        '{"name": 1, "nam": 2}',
        '{"nam": 2}',
        "[1]",
        "null",
        '{"nam": "\\ud800"}',
        f'{{"name": {"9" * 5000}}}',
        '{"name": ' + "[" * 2000,
    ],
)
async def test_an_error_is_answered_in_the_same_words_whatever_the_size(
    http: httpx.AsyncClient, body: str
) -> None:
    small = await http.post("/", content=body)
    large = await http.post("/", content=body + LARGE)
    assert small.status_code in (400, 422)
    assert (large.status_code, large.json()) == (small.status_code, small.json())


async def test_identity_is_required_before_the_errors_of_a_large_body(http: httpx.AsyncClient) -> None:
    del http.headers["X-Tenant-Id"]
    for body in ('{"name": "x"}', '{"name": 1}'):
        answer = await http.post("/", content=body + LARGE)
        assert (answer.status_code, answer.json()["detail"]) == (401, "The header x-tenant-id is required.")


async def test_a_large_body_in_another_encoding_is_read(http: httpx.AsyncClient) -> None:
    answer = await http.post("/", content=json.dumps({"name": "x" + LARGE}).encode("utf-16"))
    assert answer.json()[0] == "x" + LARGE
