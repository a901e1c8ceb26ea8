"""No body that is accepted for reading holds the event loop, whatever is in it."""

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from shared.http.bodies import POOL_THREADS, run_in_pool
from tests.fakes.api import ApiHarness
from tests.fakes.jobs import a_job
from tests.fakes.loop_holds import longest_hold
from tests.fakes.notifier import NotifierHarness

ALLOWED_SECONDS = 0.1
JOB = "3f1c9a52-8d0e-4f6a-9b1e-6a1d2c3b4a01"
MIA: dict[str, Any] = {"name": "Mia", "age": 27}
SHEET = {"character": MIA, "base_image_id": f"{JOB}/0"}
TRAINING = {"character_id": JOB, "trigger_word": "mia7", "images": [f"{JOB}/{n}" for n in range(4)]}
HEADERS = {"content-type": "application/json"}
BODY_BYTES = 2_000_000
TEXT = 64_000
"""Characters of a workflow's text: a little less than are allowed."""


def written(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def studio(**fields: Any) -> bytes:
    return written({"character": MIA, **fields})


def unknown(items: bytes, more: bytes = b"") -> bytes:
    return b'{"character":{"name":"Mia","age":27},' + more + b'"x":[' + items + b"]}"


def repeated(item: bytes, most: int = BODY_BYTES) -> bytes:
    return b",".join([item] * min(most, (BODY_BYTES - 10_000) // (len(item) + 1)))


def filled(text: str) -> str:
    return text * (BODY_BYTES // len(text.encode()) - 100)


def workflow(**inputs: Any) -> dict[str, Any]:
    return {"1": {"class_type": "SaveImage", "inputs": inputs}}


def drawn(text: str) -> bytes:
    return studio(workflow=workflow(text=(text * TEXT)[: TEXT // len(text[:1].encode())]))


def nested(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(levels):
        inner = {"n": inner}
    return inner


def numbered(template: str, count: int) -> bytes:
    return ",".join(template % n for n in range(count)).encode()


def parsed() -> Iterator[tuple[str, int, bytes]]:
    """Bodies that cost time where JSON is read."""
    yield "decimals", 422, unknown(repeated(b"1.5"))
    yield "exponents and half a surrogate", 422, unknown(repeated(b"1e300"), b'"y":"\\ud800",')
    yield "numbers and one of 5000 digits", 422, unknown(repeated(b"1"), b'"y":' + b"9" * 5000 + b",")
    yield "numbers of 4300 digits", 422, unknown(repeated(b"9" * 4300))
    yield "decimals and a mistake", 422, unknown(repeated(b"1e300") + b",nope")
    yield "lists", 422, unknown(repeated(b"[]", 49_000))
    yield "objects", 422, unknown(numbered('{"%x":1}', 49_000))
    yield "more lists", 413, unknown(repeated(b"[]", 60_000))
    yield "fields", 422, b'{"character":{},' + numbered('"%x":1', 49_000) + b"}"
    yield "more fields", 413, b"{" + numbered('"%x":1', 60_000) + b"}"
    yield "deep lists", 422, unknown(b"[" * 45_000 + b"]" * 45_000)
    yield "invalid UTF-8", 422, b'{"prompt":"' + b"x" * 1_900_000 + b'\xff"}'
    yield "UTF-16", 422, unknown(repeated(b"1", 400_000)).decode().encode("utf-16-le")


def checked() -> Iterator[tuple[str, int, bytes]]:
    """Bodies that cost time where fields and texts are checked, most of them valid."""
    yield "similar names", 422, b"{" + numbered('"character_prompt_%x' + "c" * 70 + '":1', 20_000) + b"}"
    yield "a long text", 422, studio(prompt="x" * 1_900_000)
    yield "a long name", 422, studio(**{"x" * 1_900_000: 1})
    yield "ligatures", 422, studio(prompt=filled("ﷺ"))
    yield "marks", 422, studio(workflow={"1": filled("e\u0301")})
    yield "letters of Hangul", 422, studio(workflow={"1": filled("\u1100\u1161\u11a8")})
    yield "deep objects", 202, studio(workflow=workflow(a=[nested(70)] * 200))
    yield "values", 202, studio(workflow=workflow(a=[1] * 48_000))
    yield "links", 202, studio(workflow={f"{n}": SAVE | {"inputs": LINKS} for n in range(50)})
    yield "a text of words", 202, drawn("she walks in the 17th century with 16 birds, ")
    yield "a text of numbers", 202, drawn("twenty ")
    yield "a Chinese text", 202, drawn("\u5341\u516d")


SAVE = {"class_type": "SaveImage"}
LINKS = {f"{n}": [f"{50 + n}", 0] for n in range(200)}
STUDIO = [pytest.param(status, body, id=name) for name, status, body in (*parsed(), *checked())]


@pytest.mark.parametrize(("status", "body"), STUDIO)
async def test_no_body_of_a_request_holds_the_event_loop(status: int, body: bytes) -> None:
    assert await held("/v1/studio", body, status) < ALLOWED_SECONDS


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/character-sheets", {**SHEET, "then": [1] * 600_000}),
        ("/v1/character-sheets", {**SHEET, "only": [1] * 600_000}),
        ("/v1/lora-trainings", TRAINING | {"images": [1] * 600_000}),
        ("/v1/lora-trainings", TRAINING | {"captions": [1] * 600_000}),
        ("/v1/characters/mia/base-image", {"base_image_id": f"{JOB}/0", "then": [1] * 600_000}),
        ("/v1/characters", {"character": MIA, "x": [1] * 600_000}),
    ],
)
async def test_no_list_of_600_000_items_holds_the_event_loop(path: str, body: Any) -> None:
    assert await held(path, json.dumps(body).encode(), 422) < ALLOWED_SECONDS


@pytest.mark.parametrize("text", [{}, {"workflow": workflow(text="she walks, " * 1_400)}])
async def test_no_chain_of_long_texts_holds_the_event_loop(text: Any) -> None:
    prompts = {"prompt": "she walks on the beach, " * 160, "negative_prompt": "umbrella " * 400}
    then = [{"type": "lora_training"}, *([{"type": "studio", **(text or prompts)}] * 19)]
    assert await held("/v1/character-sheets", written({**SHEET, "then": then}), 202) < ALLOWED_SECONDS


async def held(path: str, body: bytes, status: int) -> float:
    bench = ApiHarness()
    bench.jobs.put(a_job(job_id=JOB))

    async def post() -> None:
        answer = await bench.http.post(path, content=body, headers=HEADERS)
        assert answer.status_code == status, answer.text[:300]
        assert len(answer.content) < 20_000

    return await longest_hold(post, ALLOWED_SECONDS)


async def test_a_small_request_is_answered_while_large_ones_wait_for_a_thread() -> None:
    bench, release = ApiHarness(), threading.Event()
    busy = [asyncio.create_task(run_in_pool(release.wait, 30)) for _ in range(POOL_THREADS)]
    large = asyncio.create_task(bench.http.post("/v1/studio", content=drawn("she walks "), headers=HEADERS))
    try:
        assert (await bench.submit()).status_code == 202
        assert not large.done()
    finally:
        release.set()
    assert (await large).status_code == 202
    assert all(await asyncio.gather(*busy))


async def test_the_notifier_reads_bodies_of_64_kib_only() -> None:
    bench = NotifierHarness()
    path = "/v1/webhooks/deliveries/replay"
    most = b'{"state":null' + b" " * (64 * 1024 - 14) + b"}"
    answer = await bench.http.post(path, content=most, headers=HEADERS)
    assert answer.status_code == 202, answer.text
    for body in (most + b" ", b'{"x":[' + repeated(b"1") + b"]}"):
        answer = await bench.http.post(path, content=body, headers=HEADERS)
        assert answer.status_code == 413
        assert answer.json()["detail"] == "Body is larger than 65536 bytes."
