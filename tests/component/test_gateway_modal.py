"""What only Modal does: our own application, which takes our id and de-duplicates by it."""

from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr

from contracts.modal_app import UNDECIDED
from contracts.renders import Billed
from services.gateways.modal.adapter import ModalProvider
from services.gateways.modal.settings import ModalSettings
from services.gateways.runtime.provider import (
    LOCKED_OUT,
    Broken,
    Done,
    Missing,
    News,
    NoAnswer,
    NotTaken,
    OutcomeUnknown,
    Refused,
    Working,
)
from shared.ids import uuid7
from tests.fakes.adapters import Rig, a_rig, an_adapter, quick_client
from tests.fakes.provider import FakeInputs, an_order

REFERENCE, FACE = f"{uuid7()}/0", f"{uuid7()}/1"
LORA = {"key": "loras/mia.safetensors", "trigger_word": "mia7", "scale": 0.8}
CALL = {"id": "fc-1"}


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with a_rig("modal") as made:
        made.inputs.images.update({REFERENCE: b"r", FACE: b"f"})
        yield made


def told(status: int, text: str = "", **headers: str) -> ModalProvider:
    kind = {"content-type": "application/json" if text.startswith(("{", "[")) else "text/plain"} | headers
    transport = httpx.MockTransport(lambda request: httpx.Response(status, text=text, headers=kind))
    http = httpx.AsyncClient(transport=transport, verify=False)
    provider = an_adapter("modal", http, "https://acme--imagegen.modal.run", FakeInputs())
    assert isinstance(provider, ModalProvider)
    return provider


def stopped(billed: Billed) -> Broken:
    return Broken("cancelled", "the call was cancelled at Modal", False, billed)


async def test_inputs_go_as_signed_links(rig: Rig) -> None:
    await rig.submit(an_order("modal", reference=REFERENCE, face=FACE, lora=LORA, negative_prompt="blur"))
    [entry] = await rig.submission_log()
    asked = entry["input"]["input"]
    assert asked["reference_url"] == f"{rig.url}/{REFERENCE}?signature=s"
    assert asked["face_url"] == f"{rig.url}/{FACE}?signature=s"
    assert asked["lora"] == {"url": f"{rig.url}/loras/mia.safetensors?signature=s", "scale": 0.8}
    assert (asked["prompt"], asked["negative_prompt"]) == ("a lighthouse", "blur")


async def test_a_workflow_is_handed_on_with_its_holes_filled(rig: Rig) -> None:
    workflow = {"1": {"class_type": "KSampler", "inputs": {"seed": "{{seed}}", "model": ["4", 0]}}}
    await rig.submit(an_order("modal", workflow=workflow, seed=9, model="sdxl"))
    [entry] = await rig.submission_log()
    asked = entry["input"]["input"]
    assert asked["workflow"]["1"]["inputs"] == {"seed": 9, "model": ["4", 0]}
    assert asked["model"] == "sdxl"


async def test_the_same_attempt_sent_twice_is_one_call(rig: Rig) -> None:
    order = an_order("modal")
    assert await rig.submit(order) == await rig.submit(order)
    assert len(await rig.submission_log()) == 1


async def test_percent_is_told_while_it_runs(rig: Rig) -> None:
    await rig.behave(latency_seconds=30)
    order = an_order("modal")
    news = await rig.reach(order, await rig.submit(order), "running")
    assert news.percent == 0


@pytest.mark.parametrize(("state", "billed"), [("queued", "no"), ("running", "yes")])
async def test_a_call_that_was_cancelled_is_over_and_costs_the_time_it_ran(
    rig: Rig, state: str, billed: str
) -> None:
    await rig.behave(latency_seconds=30, concurrency=1)
    if state == "queued":
        await rig.submit(an_order("modal"))
    order = an_order("modal")
    handle = await rig.submit(order)
    await rig.reach(order, handle, state)
    await rig.provider.cancel(order, handle)
    news = await rig.end(order, handle)
    assert isinstance(news, Broken)
    assert (news.code, news.retryable, news.billed) == ("cancelled", False, billed)


async def test_without_credentials_nothing_is_taken(rig: Rig) -> None:
    settings = ModalSettings(base_url=rig.url, key=SecretStr(""), secret=SecretStr(""))
    async with quick_client(1.0) as http:
        provider = ModalProvider(http, settings, FakeInputs())
        order = an_order("modal")
        with pytest.raises(Refused) as raised:
            await provider.submit(order, await provider.prepare(order))
    assert raised.value.code == "provider_unauthorized"
    assert await rig.submission_log() == []


@pytest.mark.parametrize(
    ("status", "text", "news"),
    [
        (202, "", Working("queued")),
        (202, '{"status":"pending"}', Working("queued")),
        (202, '{"status":"running","progress":41.6}', Working("running", percent=42)),
        (202, '{"status":"running","progress":1e9}', Working("running", percent=100)),
        (404, '{"detail":"Not Found"}', Missing("Modal no longer knows this call")),
        (410, '{"detail":"cancelled"}', stopped("unknown")),
        (410, '{"status":"cancelled","started":false}', stopped("no")),
        (410, '{"status":"cancelled","started":true}', stopped("yes")),
        (
            200,
            '{"status":"succeeded"}',
            Broken("no_output", "the call succeeded without an output", False, "yes"),
        ),
        (
            200,
            '{"status":"failed","error":{"type":"ValueError","message":"no","retryable":false}}',
            Broken("provider_error", "ValueError: no", False, "yes"),
        ),
    ],
)
async def test_every_answer_has_one_meaning(status: int, text: str, news: News) -> None:
    assert await told(status, text).poll(an_order("modal"), CALL) == news


@pytest.mark.parametrize(
    ("status", "text"),
    [(200, "not json"), (200, '{"status":"done"}'), (202, "[]"), (303, ""), (500, "boom"), (503, "")],
)
async def test_nonsense_is_no_answer(status: int, text: str) -> None:
    with pytest.raises(NoAnswer):
        await told(status, text).poll(an_order("modal"), CALL)


@pytest.mark.parametrize("text", ['{"call_id":"../../etc","id":"x"}', "{}", "fc-1"])
async def test_a_call_id_that_is_none_is_an_unknown_outcome(text: str) -> None:
    provider, order = told(200, text), an_order("modal")
    with pytest.raises(OutcomeUnknown):
        await provider.submit(order, await provider.prepare(order))


async def test_a_busy_application_that_may_have_started_it_is_an_unknown_outcome() -> None:
    order = an_order("modal")
    for headers, kind in (({}, NotTaken), ({UNDECIDED: "1"}, OutcomeUnknown)):
        provider = told(503, **headers)
        with pytest.raises(kind):
            await provider.submit(order, await provider.prepare(order))


async def test_a_lookup_that_fails_is_not_taken_for_absence() -> None:
    for provider in (told(500, "boom"), told(503), told(200, "{}")):
        with pytest.raises(NoAnswer):
            await provider.find(an_order("modal"))


NOT_DEPLOYED = "modal-http: app for invoked web endpoint is stopped"


async def test_an_application_that_is_not_there_is_no_fault_of_the_request() -> None:
    provider, order = told(404, NOT_DEPLOYED), an_order("modal")
    with pytest.raises(Refused) as raised:
        await provider.submit(order, await provider.prepare(order))
    assert (raised.value.code, raised.value.retryable) == ("provider_not_deployed", False)
    assert raised.value.code in LOCKED_OUT, "the circuit hears of it"


async def test_an_application_that_is_not_there_does_not_say_that_it_has_nothing_of_ours() -> None:
    provider, order = told(404, NOT_DEPLOYED), an_order("modal")
    with pytest.raises(NoAnswer):
        await provider.find(order)
    with pytest.raises(NoAnswer):
        await provider.poll(order, CALL)
    with pytest.raises(NoAnswer):
        await provider.unfinished()


@pytest.mark.parametrize(("status", "text"), [(404, '{"detail": "Not Found"}'), (200, "{}"), (422, "{}")])
async def test_an_answer_that_is_no_list_does_not_say_that_nothing_is_there(status: int, text: str) -> None:
    with pytest.raises(NoAnswer):
        await told(status, text).unfinished()


async def test_calls_are_listed_until_they_have_ended(rig: Rig) -> None:
    await rig.behave(latency_seconds=0.2, concurrency=1)
    assert isinstance(rig.provider, ModalProvider)
    orders = [an_order("modal") for _ in range(2)]
    handles = [await rig.submit(order) for order in orders]
    assert await rig.provider.unfinished() == {order.uuid for order in orders}
    await rig.end(orders[0], handles[0])
    assert await rig.provider.unfinished() == {orders[1].uuid}
    await rig.provider.cancel(orders[1], handles[1])
    assert await rig.provider.unfinished() == frozenset()


async def test_what_a_call_drew_is_named_by_path(rig: Rig) -> None:
    order = an_order("modal", seed=5)
    news = await rig.end(order, await rig.submit(order))
    assert isinstance(news, Done)
    [output] = news.outputs
    assert output.url is None
    assert output.path is not None
    assert output.path.startswith("/outputs/fc-")
    assert (news.seed, output.content_type) == (5, "image/png")


async def test_our_application_reads_prose_and_a_workflow_reads_what_its_model_does(rig: Rig) -> None:
    sdxl = {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd_xl_base.safetensors"}}}
    assert rig.provider.dialect(an_order("modal")) == "prose"
    assert rig.provider.dialect(an_order("modal", workflow=sdxl)) == "tags"
