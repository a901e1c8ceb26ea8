"""What every adapter must do, against the simulator of its provider."""

from collections.abc import AsyncIterator

import pytest

from contracts.base import PROVIDERS, Provider
from services.gateways.runtime.provider import (
    Broken,
    CannotBeAsked,
    Done,
    Missing,
    NoAnswer,
    NotTaken,
    OutcomeUnknown,
    Refused,
)
from shared.ids import uuid7
from tests.fakes.adapters import Rig, a_rig, an_adapter, quick_client
from tests.fakes.provider import FakeInputs, an_order

ASKABLE: tuple[Provider, ...] = ("modal", "comfyui")


@pytest.fixture(params=PROVIDERS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with a_rig(request.param) as made:
        yield made


async def test_an_order_becomes_one_submission_and_an_output(rig: Rig) -> None:
    order = an_order(rig.name, seed=42)
    handle = await rig.submit(order)
    news = await rig.end(order, handle)
    assert isinstance(news, Done)
    [output] = news.outputs
    assert news.seed in (42, None), "a seed that is not told is the one that was asked for"
    headers = {"Modal-Key": "k", "Modal-Secret": "s"}
    picture = await rig.http.get(output.url or output.path or "", headers=headers)
    assert picture.content.startswith(b"\x89PNG")
    [entry] = await rig.submission_log()
    assert (entry["prompt"], entry["state"], entry["id"]) == ("a lighthouse", "succeeded", handle["id"])
    if rig.name in ASKABLE:
        assert entry["our_id"] == order.uuid


async def test_preparing_costs_nothing_and_may_be_repeated(rig: Rig) -> None:
    order = an_order(rig.name)
    first, again = await rig.provider.prepare(order), await rig.provider.prepare(order)
    assert first == again
    assert await rig.submission_log() == []


@pytest.mark.parametrize("fault", ["429", "503"])
async def test_a_busy_provider_has_taken_nothing_and_says_when_to_come_again(rig: Rig, fault: str) -> None:
    await rig.behave(next_faults=[fault], retry_after_seconds=7)
    with pytest.raises(NotTaken) as raised:
        await rig.submit(an_order(rig.name))
    assert (raised.value.code, raised.value.after_seconds) == ("provider_busy", 7.0)
    assert await rig.submission_log() == []


async def test_a_request_that_is_wrong_is_refused_for_good(rig: Rig) -> None:
    await rig.behave(next_faults=["422"])
    with pytest.raises(Refused) as raised:
        await rig.submit(an_order(rig.name))
    code = "invalid_workflow" if rig.name == "comfyui" else "invalid_request"
    assert (raised.value.code, raised.value.retryable) == (code, False)
    assert await rig.submission_log() == []


@pytest.mark.parametrize(
    ("fault", "taken"),
    [("500", 0), ("accepted_500", 1), ("lose_answer", 1), ("malformed_json", 1), ("truncated", 1)],
)
async def test_an_answer_that_does_not_tell_is_an_unknown_outcome_and_is_not_sent_twice(
    rig: Rig, fault: str, taken: int
) -> None:
    refused = rig.name == "comfyui" and fault == "500"  # there it means an unreadable request
    await rig.behave(next_faults=[fault])
    with pytest.raises(Refused if refused else OutcomeUnknown):
        await rig.submit(an_order(rig.name))
    assert len(await rig.submission_log()) == taken


@pytest.mark.parametrize("name", PROVIDERS)
async def test_an_answer_that_never_comes_is_an_unknown_outcome(name: Provider) -> None:
    async with a_rig(name, timeout_seconds=0.2, lose_answer_mode="hang") as rig:
        await rig.behave(next_faults=["lose_answer"])
        with pytest.raises(OutcomeUnknown):
            await rig.submit(an_order(name))
        assert len(await rig.submission_log()) == 1


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_provider_that_is_away_takes_nothing_and_is_asked_again_later(name: Provider) -> None:
    order, away = an_order(name), "http://127.0.0.1:1"
    handle = {"id": order.uuid} | dict.fromkeys(("status_url", "response_url", "cancel_url"), away)
    async with quick_client(1.0) as http:
        provider = an_adapter(name, http, away, FakeInputs())
        with pytest.raises(NotTaken) as raised:
            await provider.submit(order, await provider.prepare(order))
        assert raised.value.code == "provider_unreachable"
        with pytest.raises(NoAnswer):
            await provider.poll(order, handle)
        with pytest.raises(NoAnswer):
            await provider.cancel(order, handle)
        with pytest.raises((NoAnswer, CannotBeAsked)):
            await provider.find(order)


async def test_what_was_taken_can_be_found_by_our_id(rig: Rig) -> None:
    order = an_order(rig.name)
    if rig.name not in ASKABLE:
        with pytest.raises(CannotBeAsked):
            await rig.provider.find(order)
        return
    assert await rig.provider.find(order) is None
    await rig.behave(next_faults=["lose_answer"])
    with pytest.raises(OutcomeUnknown):
        await rig.submit(order)
    handle = await rig.provider.find(order)
    assert handle is not None
    assert isinstance(await rig.end(order, handle), Done)
    assert await rig.provider.find(order) == handle, "also after its end"
    assert await rig.provider.find(an_order(rig.name)) is None


async def test_what_the_provider_forgot_is_missing(rig: Rig) -> None:
    await rig.behave(latency_seconds=30)
    order = an_order(rig.name)
    handle = await rig.submit(order)
    await rig.reach(order, handle, "running")
    await rig.forget()
    news = await rig.end(order, handle)
    if rig.name == "comfyui":  # it looks twice into both places where a prompt can be
        assert isinstance(news, Broken)
        assert (news.code, news.retryable, news.billed) == ("lost", True, "no")
    else:
        assert isinstance(news, Missing)
        assert news.billed == "unknown"


async def test_one_waits_in_the_queue_while_another_runs(rig: Rig) -> None:
    await rig.behave(latency_seconds=30)
    first, second = an_order(rig.name), an_order(rig.name)
    one, two = await rig.submit(first), await rig.submit(second)
    assert (await rig.reach(first, one, "running")).queue_position is None
    await rig.reach(second, two, "queued")


async def test_cancelling_stops_the_queued_one_and_no_other(rig: Rig) -> None:
    await rig.behave(latency_seconds=30)
    first, second, third = (an_order(rig.name) for _ in range(3))
    handles = [await rig.submit(order) for order in (first, second, third)]
    await rig.provider.cancel(second, handles[1])
    assert isinstance(await rig.end(second, handles[1]), Broken | Missing)
    assert [entry["state"] for entry in await rig.submission_log()] == ["running", "cancelled", "queued"]
    await rig.provider.cancel(second, handles[1])
    await rig.reach(first, handles[0], "running")


async def test_cancelling_stops_the_running_one_and_no_other(rig: Rig) -> None:
    await rig.behave(latency_seconds=30)
    first, second = an_order(rig.name), an_order(rig.name)
    one, two = await rig.submit(first), await rig.submit(second)
    await rig.reach(first, one, "running")
    await rig.provider.cancel(first, one)
    assert isinstance(await rig.end(first, one), Broken | Missing)
    await rig.reach(second, two, "running")
    assert [entry["state"] for entry in await rig.submission_log()] == ["cancelled", "running"]


async def test_cancelling_what_has_ended_changes_nothing(rig: Rig) -> None:
    order = an_order(rig.name)
    handle = await rig.submit(order)
    before = await rig.end(order, handle)
    await rig.provider.cancel(order, handle)
    assert await rig.provider.poll(order, handle) == before


@pytest.mark.parametrize(("fault", "retryable"), [("fail", False), ("oom", True)])
async def test_a_failure_says_whether_another_try_may_do_better(
    rig: Rig, fault: str, retryable: bool
) -> None:
    await rig.behave(next_faults=[fault])
    order = an_order(rig.name)
    news = await rig.end(order, await rig.submit(order))
    assert isinstance(news, Broken)
    assert (news.code, news.retryable) == ("provider_error", retryable)
    assert news.message


@pytest.mark.parametrize("name", ["fal", "modal"])
async def test_a_flagged_image_is_told_apart(name: Provider) -> None:
    async with a_rig(name, concurrency=2) as rig:
        await rig.behave(next_faults=["nsfw"])
        flagged, harmless = an_order(name), an_order(name)
        ends = [await rig.end(order, await rig.submit(order)) for order in (flagged, harmless)]
        assert [end.outputs[0].nsfw for end in ends if isinstance(end, Done)] == [True, False]


async def test_an_input_that_is_not_stored_is_refused_before_anything_is_sent(rig: Rig) -> None:
    with pytest.raises(Refused) as raised:
        await rig.provider.prepare(an_order(rig.name, reference=f"{uuid7()}/0"))
    assert raised.value.code == "input_not_found"
