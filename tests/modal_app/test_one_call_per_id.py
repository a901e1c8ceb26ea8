"""An id has one call, whoever dies while it is started and whoever cancels."""

import asyncio

import httpx
import pytest

from contracts.modal_app import (
    UNDECIDED,
    ModalSubmit,
)
from deploy.modal.ids import call_key, run_key
from deploy.modal.ports import NotStarted, Stopped, Superseded, Unavailable
from tests.modal_app.asking import ended, submit
from tests.modal_app.fakes import Bench, an_image


async def test_a_dead_starter_leaves_an_id_that_is_taken_over(
    bench: Bench, client: httpx.AsyncClient
) -> None:
    """Death after reserving, before anything was started."""
    starting = bench.calls.start

    async def die(asked: ModalSubmit) -> str:
        raise Unavailable("died")

    bench.calls.start = die  # type: ignore[method-assign]
    answer = await client.post("/submit", json=an_image())
    assert (answer.status_code, answer.headers[UNDECIDED]) == (503, "1"), "it may have been started"
    bench.calls.start = starting  # type: ignore[method-assign]
    busy = await client.get("/by-id/attempt-1")
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "2")
    assert (await client.post("/submit", json=an_image())).status_code == 503
    assert bench.calls.started == []
    bench.now = lambda: 4e9
    assert (await client.get("/by-id/attempt-1")).status_code == 404
    call_id = await submit(client, an_image())
    assert (await client.get("/by-id/attempt-1")).json()["call_id"] == call_id
    assert len(bench.calls.started) == 1


@pytest.mark.parametrize("noted", ["call/", "reserve/"])
async def test_a_call_whose_starter_died_is_found_as_soon_as_it_runs(
    bench: Bench, client: httpx.AsyncClient, noted: str
) -> None:
    bench.die_at("put", noted)
    assert (await client.post("/submit", json=an_image())).status_code == 503
    await asyncio.gather(*bench.calls.tasks.values())
    call_id = await submit(client, an_image())
    assert (await client.get("/by-id/attempt-1")).json()["call_id"] == call_id
    assert (await ended(client, call_id)).status == "succeeded"
    assert len(bench.calls.started) == 1


async def test_of_two_calls_for_one_id_one_works_and_both_tell_its_result(
    bench: Bench, client: httpx.AsyncClient
) -> None:
    """Death after starting, and the first call stays in Modal's queue until a second was started."""
    bench.calls.held = True
    bench.die_at("put", "reserve/")
    assert (await client.post("/submit", json=an_image())).status_code == 503
    bench.now = lambda: 4e9
    second = await submit(client, an_image())
    first_asked, second_asked = bench.calls.started
    await bench.calls.run("fc-0001", first_asked)
    await bench.calls.run(second, second_asked)
    assert bench.calls.sights[second] == Superseded("fc-0001")
    result = await ended(client, second)
    assert result.outputs[0].path == "/outputs/fc-0001/0.png"
    assert await submit(client, an_image()) == "fc-0001"


async def test_a_cancel_stops_the_other_call_of_the_id_too(bench: Bench, client: httpx.AsyncClient) -> None:
    bench.calls.held = True
    bench.die_at("put", "reserve/")
    await client.post("/submit", json=an_image())
    bench.now = lambda: 4e9
    second = await submit(client, an_image())
    bench.table.entries[run_key("attempt-1")] = "fc-0001"
    await client.post(f"/cancel/{second}")
    assert sorted(bench.calls.cancelled) == ["fc-0001", "fc-0002"]


async def test_after_a_cancel_no_other_call_of_the_id_begins(bench: Bench, client: httpx.AsyncClient) -> None:
    bench.calls.held = True
    bench.die_at("put", "reserve/")
    await client.post("/submit", json=an_image())
    bench.now = lambda: 4e9
    second = await submit(client, an_image())
    await client.post(f"/cancel/{second}")
    await bench.calls.run("fc-0001", bench.calls.started[0])
    assert bench.calls.sights["fc-0001"] == Superseded(second)
    assert (await client.get(f"/result/{second}")).status_code == 410


async def test_what_surely_was_not_started_may_be_sent_again_at_once(
    bench: Bench, client: httpx.AsyncClient
) -> None:
    starting = bench.calls.start

    async def refuse(asked: ModalSubmit) -> str:
        raise NotStarted("quota")

    bench.calls.start = refuse  # type: ignore[method-assign]
    answer = await client.post("/submit", json=an_image())
    assert (answer.status_code, UNDECIDED in answer.headers) == (503, False)
    assert (await client.get("/by-id/attempt-1")).status_code == 404
    bench.calls.start = starting  # type: ignore[method-assign]
    await submit(client, an_image())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/result/fc-0001"),
        ("GET", "/by-id/attempt-1"),
        ("POST", "/cancel/fc-0001"),
    ],
)
async def test_while_modal_is_away_nothing_is_said(
    bench: Bench, client: httpx.AsyncClient, method: str, path: str
) -> None:
    def away(verb: str, key: str) -> None:
        raise Unavailable("ServiceError: away")

    bench.table.before = away
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()) == (503, {"detail": "ServiceError: away"})


async def test_calls_that_point_at_each_other_are_not_followed_for_ever(
    bench: Bench, client: httpx.AsyncClient
) -> None:
    bench.calls.sights = {"fc-A": Superseded("fc-B"), "fc-B": Superseded("fc-A")}
    bench.table.entries |= {call_key("fc-A"): "x", call_key("fc-B"): "x"}
    assert (await client.get("/result/fc-A")).status_code == 404


async def test_a_call_stopped_by_an_operator_is_gone(bench: Bench, client: httpx.AsyncClient) -> None:
    call_id = await submit(client, an_image())
    bench.calls.sights[call_id] = Stopped()
    assert (await client.get(f"/result/{call_id}")).status_code == 410
