"""Exactly one call per idempotency key, through deaths during its start and through cancellations."""

import asyncio

import httpx
import pytest

from contracts.modal_app import (
    UNDECIDED,
    ModalSubmit,
)
from deploy.modal.ids import call_key, run_key
from deploy.modal.ports import NotStarted, Stopped, Superseded, Unavailable
from tests.modal_app.caller import ended, submit
from tests.modal_app.fakes import AppHarness, an_image


async def test_a_stale_reservation_of_a_dead_process_is_taken_over(
    harness: AppHarness, client: httpx.AsyncClient
) -> None:
    """The process dies after the reservation and before the start of a call."""
    starting = harness.calls.start

    async def die(request: ModalSubmit) -> str:
        raise Unavailable("died")

    harness.calls.start = die  # type: ignore[method-assign]
    answer = await client.post("/submit", json=an_image())
    assert (answer.status_code, answer.headers[UNDECIDED]) == (503, "1"), "it may have been started"
    harness.calls.start = starting  # type: ignore[method-assign]
    busy = await client.get("/by-id/attempt-1")
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "2")
    assert (await client.post("/submit", json=an_image())).status_code == 503
    assert harness.calls.started == []
    harness.now = lambda: 4e9
    assert (await client.get("/by-id/attempt-1")).status_code == 404
    call_id = await submit(client, an_image())
    assert (await client.get("/by-id/attempt-1")).json()["call_id"] == call_id
    assert len(harness.calls.started) == 1


@pytest.mark.parametrize("noted", ["call/", "reserve/"])
async def test_a_call_whose_starter_died_is_found_as_soon_as_it_runs(
    harness: AppHarness, client: httpx.AsyncClient, noted: str
) -> None:
    harness.die_at("put", noted)
    assert (await client.post("/submit", json=an_image())).status_code == 503
    await asyncio.gather(*harness.calls.tasks.values())
    call_id = await submit(client, an_image())
    assert (await client.get("/by-id/attempt-1")).json()["call_id"] == call_id
    assert (await ended(client, call_id)).status == "succeeded"
    assert len(harness.calls.started) == 1


async def test_one_of_two_calls_for_an_id_works_and_both_report_its_result(
    harness: AppHarness, client: httpx.AsyncClient
) -> None:
    """The process dies after starting a call, which stays queued at Modal until a second one starts."""
    harness.calls.queued_only = True
    harness.die_at("put", "reserve/")
    assert (await client.post("/submit", json=an_image())).status_code == 503
    harness.now = lambda: 4e9
    second = await submit(client, an_image())
    first_request, second_request = harness.calls.started
    await harness.calls.run("fc-0001", first_request)
    await harness.calls.run(second, second_request)
    assert harness.calls.states[second] == Superseded("fc-0001")
    result = await ended(client, second)
    assert result.outputs[0].path == "/outputs/fc-0001/0.png"
    assert await submit(client, an_image()) == "fc-0001"


async def test_a_cancel_also_stops_the_other_call_of_the_id(
    harness: AppHarness, client: httpx.AsyncClient
) -> None:
    harness.calls.queued_only = True
    harness.die_at("put", "reserve/")
    await client.post("/submit", json=an_image())
    harness.now = lambda: 4e9
    second = await submit(client, an_image())
    harness.table.entries[run_key("attempt-1")] = "fc-0001"
    await client.post(f"/cancel/{second}")
    assert sorted(harness.calls.cancelled) == ["fc-0001", "fc-0002"]


async def test_after_a_cancel_no_other_call_of_the_id_begins(
    harness: AppHarness, client: httpx.AsyncClient
) -> None:
    harness.calls.queued_only = True
    harness.die_at("put", "reserve/")
    await client.post("/submit", json=an_image())
    harness.now = lambda: 4e9
    second = await submit(client, an_image())
    await client.post(f"/cancel/{second}")
    await harness.calls.run("fc-0001", harness.calls.started[0])
    assert harness.calls.states["fc-0001"] == Superseded(second)
    assert (await client.get(f"/result/{second}")).status_code == 410


async def test_a_submission_that_certainly_did_not_start_may_be_repeated_at_once(
    harness: AppHarness, client: httpx.AsyncClient
) -> None:
    starting = harness.calls.start

    async def reject(request: ModalSubmit) -> str:
        raise NotStarted("quota")

    harness.calls.start = reject  # type: ignore[method-assign]
    answer = await client.post("/submit", json=an_image())
    assert (answer.status_code, UNDECIDED in answer.headers) == (503, False)
    assert (await client.get("/by-id/attempt-1")).status_code == 404
    harness.calls.start = starting  # type: ignore[method-assign]
    await submit(client, an_image())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/result/fc-0001"),
        ("GET", "/by-id/attempt-1"),
        ("POST", "/cancel/fc-0001"),
    ],
)
async def test_routes_answer_503_while_modal_does_not_answer(
    harness: AppHarness, client: httpx.AsyncClient, method: str, path: str
) -> None:
    def away(verb: str, key: str) -> None:
        raise Unavailable("ServiceError: away")

    harness.table.before = away
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()) == (503, {"detail": "ServiceError: away"})


async def test_calls_that_supersede_each_other_are_not_followed_for_ever(
    harness: AppHarness, client: httpx.AsyncClient
) -> None:
    harness.calls.states = {"fc-A": Superseded("fc-B"), "fc-B": Superseded("fc-A")}
    harness.table.entries |= {call_key("fc-A"): "x", call_key("fc-B"): "x"}
    assert (await client.get("/result/fc-A")).status_code == 404


async def test_a_call_cancelled_by_an_operator_is_gone(
    harness: AppHarness, client: httpx.AsyncClient
) -> None:
    call_id = await submit(client, an_image())
    harness.calls.states[call_id] = Stopped()
    assert (await client.get(f"/result/{call_id}")).status_code == 410
