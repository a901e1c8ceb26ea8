"""Behaviour that every adapter has, against the simulator of its provider."""

from collections.abc import AsyncIterator

import pytest

from contracts.base import PROVIDERS, Provider
from services.gateways.kit.provider import (
    Completed,
    Failed,
    Lookup,
    NotAccepted,
    NotFound,
    OutcomeUnknown,
    Rejected,
    StatusUnavailable,
)
from shared.ids import uuid7
from tests.fakes.adapters import AdapterHarness, an_adapter, an_adapter_harness, lookup_of, quick_client
from tests.fakes.provider import FakeInputs, an_attempt_request

ASKABLE: tuple[Provider, ...] = ("modal", "comfyui")


@pytest.fixture(params=PROVIDERS)
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[AdapterHarness]:
    async with an_adapter_harness(request.param) as made:
        yield made


async def test_a_request_becomes_one_submission_and_an_output(harness: AdapterHarness) -> None:
    request = an_attempt_request(harness.name, seed=42)
    ref = await harness.submit(request)
    status = await harness.end(request, ref)
    assert isinstance(status, Completed)
    [output] = status.outputs
    assert status.seed in (42, None), "a seed that is not told is the one that was asked for"
    headers = {"Modal-Key": "k", "Modal-Secret": "s"}
    picture = await harness.http.get(output.url or output.path or "", headers=headers)
    assert picture.content.startswith(b"\x89PNG")
    [entry] = await harness.submission_log()
    assert (entry["prompt"], entry["state"], entry["id"]) == ("a lighthouse", "succeeded", ref["id"])
    if harness.name in ASKABLE:
        assert entry["our_id"] == request.idempotency_key


async def test_preparing_costs_nothing_and_may_be_repeated(harness: AdapterHarness) -> None:
    request = an_attempt_request(harness.name)
    first, again = await harness.provider.prepare(request), await harness.provider.prepare(request)
    assert first == again
    assert await harness.submission_log() == []


@pytest.mark.parametrize("fault", ["429", "503"])
async def test_a_busy_provider_accepts_nothing_and_names_a_pause(harness: AdapterHarness, fault: str) -> None:
    await harness.behave(next_faults=[fault], retry_after_seconds=7)
    with pytest.raises(NotAccepted) as raised:
        await harness.submit(an_attempt_request(harness.name))
    assert (raised.value.code, raised.value.after_seconds) == ("provider_busy", 7.0)
    assert await harness.submission_log() == []


async def test_a_request_that_is_wrong_is_refused_for_good(harness: AdapterHarness) -> None:
    await harness.behave(next_faults=["422"])
    with pytest.raises(Rejected) as raised:
        await harness.submit(an_attempt_request(harness.name))
    code = "invalid_workflow" if harness.name == "comfyui" else "invalid_request"
    assert (raised.value.code, raised.value.retryable) == (code, False)
    assert await harness.submission_log() == []


@pytest.mark.parametrize(
    ("fault", "taken"),
    [("500", 0), ("accepted_500", 1), ("lose_answer", 1), ("malformed_json", 1), ("truncated", 1)],
)
async def test_an_answer_that_does_not_tell_is_an_unknown_outcome_and_is_not_sent_twice(
    harness: AdapterHarness, fault: str, taken: int
) -> None:
    refused = harness.name == "comfyui" and fault == "500"  # there it means an unreadable request
    await harness.behave(next_faults=[fault])
    with pytest.raises(Rejected if refused else OutcomeUnknown):
        await harness.submit(an_attempt_request(harness.name))
    assert len(await harness.submission_log()) == taken


@pytest.mark.parametrize("name", PROVIDERS)
async def test_an_answer_that_never_comes_is_an_unknown_outcome(name: Provider) -> None:
    async with an_adapter_harness(name, timeout_seconds=0.2, lose_answer_mode="hang") as harness:
        await harness.behave(next_faults=["lose_answer"])
        with pytest.raises(OutcomeUnknown):
            await harness.submit(an_attempt_request(name))
        assert len(await harness.submission_log()) == 1


@pytest.mark.parametrize("name", PROVIDERS)
async def test_an_unreachable_provider_accepts_nothing_and_is_asked_again(name: Provider) -> None:
    request, away = an_attempt_request(name), "http://127.0.0.1:1"
    ref = {"id": request.idempotency_key} | dict.fromkeys(("status_url", "response_url", "cancel_url"), away)
    async with quick_client(1.0) as http:
        provider = an_adapter(name, http, away, FakeInputs())
        with pytest.raises(NotAccepted) as raised:
            await provider.submit(request, await provider.prepare(request))
        assert raised.value.code == "provider_unreachable"
        with pytest.raises(StatusUnavailable):
            await provider.poll(request, ref)
        with pytest.raises(StatusUnavailable):
            await provider.cancel(request, ref)
        if isinstance(provider, Lookup):
            with pytest.raises(StatusUnavailable):
                await provider.find(request)


async def test_an_accepted_request_is_found_by_our_id(harness: AdapterHarness) -> None:
    request = an_attempt_request(harness.name)
    assert isinstance(harness.provider, Lookup) == (harness.name in ASKABLE)
    if harness.name not in ASKABLE:
        return
    assert await lookup_of(harness.provider).find(request) is None
    await harness.behave(next_faults=["lose_answer"])
    with pytest.raises(OutcomeUnknown):
        await harness.submit(request)
    ref = await lookup_of(harness.provider).find(request)
    assert ref is not None
    assert isinstance(await harness.end(request, ref), Completed)
    assert await lookup_of(harness.provider).find(request) == ref, "also after its end"
    assert await lookup_of(harness.provider).find(an_attempt_request(harness.name)) is None


async def test_a_forgotten_request_is_not_found(harness: AdapterHarness) -> None:
    await harness.behave(latency_seconds=30)
    request = an_attempt_request(harness.name)
    ref = await harness.submit(request)
    await harness.reach(request, ref, "running")
    await harness.forget()
    status = await harness.end(request, ref)
    if harness.name == "comfyui":  # it looks twice into both places where a prompt can be
        assert isinstance(status, Failed)
        assert (status.code, status.retryable, status.billed) == ("lost", True, "no")
    else:
        assert isinstance(status, NotFound)
        assert status.billed == "unknown"


async def test_one_waits_in_the_queue_while_another_runs(harness: AdapterHarness) -> None:
    await harness.behave(latency_seconds=30)
    first, second = an_attempt_request(harness.name), an_attempt_request(harness.name)
    one, two = await harness.submit(first), await harness.submit(second)
    assert (await harness.reach(first, one, "running")).queue_position is None
    await harness.reach(second, two, "queued")


async def test_cancelling_stops_the_queued_one_and_no_other(harness: AdapterHarness) -> None:
    await harness.behave(latency_seconds=30)
    first, second, third = (an_attempt_request(harness.name) for _ in range(3))
    refs = [await harness.submit(request) for request in (first, second, third)]
    await harness.provider.cancel(second, refs[1])
    assert isinstance(await harness.end(second, refs[1]), Failed | NotFound)
    assert [entry["state"] for entry in await harness.submission_log()] == ["running", "cancelled", "queued"]
    await harness.provider.cancel(second, refs[1])
    await harness.reach(first, refs[0], "running")


async def test_cancelling_stops_the_running_one_and_no_other(harness: AdapterHarness) -> None:
    await harness.behave(latency_seconds=30)
    first, second = an_attempt_request(harness.name), an_attempt_request(harness.name)
    one, two = await harness.submit(first), await harness.submit(second)
    await harness.reach(first, one, "running")
    await harness.provider.cancel(first, one)
    assert isinstance(await harness.end(first, one), Failed | NotFound)
    await harness.reach(second, two, "running")
    assert [entry["state"] for entry in await harness.submission_log()] == ["cancelled", "running"]


async def test_cancelling_what_has_ended_changes_nothing(harness: AdapterHarness) -> None:
    request = an_attempt_request(harness.name)
    ref = await harness.submit(request)
    before = await harness.end(request, ref)
    await harness.provider.cancel(request, ref)
    assert await harness.provider.poll(request, ref) == before


@pytest.mark.parametrize(("fault", "retryable"), [("fail", False), ("oom", True)])
async def test_a_failure_says_whether_another_try_may_do_better(
    harness: AdapterHarness, fault: str, retryable: bool
) -> None:
    await harness.behave(next_faults=[fault])
    request = an_attempt_request(harness.name)
    status = await harness.end(request, await harness.submit(request))
    assert isinstance(status, Failed)
    assert (status.code, status.retryable) == ("provider_error", retryable)
    assert status.message


@pytest.mark.parametrize("name", ["fal", "modal"])
async def test_a_flagged_image_is_marked(name: Provider) -> None:
    async with an_adapter_harness(name, concurrency=2) as harness:
        await harness.behave(next_faults=["nsfw"])
        flagged, harmless = an_attempt_request(name), an_attempt_request(name)
        ends = [await harness.end(request, await harness.submit(request)) for request in (flagged, harmless)]
        assert [end.outputs[0].nsfw for end in ends if isinstance(end, Completed)] == [True, False]


async def test_an_input_that_is_not_stored_is_refused_before_anything_is_sent(
    harness: AdapterHarness,
) -> None:
    with pytest.raises(Rejected) as raised:
        await harness.provider.prepare(an_attempt_request(harness.name, reference=f"{uuid7()}/0"))
    assert raised.value.code == "input_not_found"
