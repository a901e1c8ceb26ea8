"""Behaviour of Modal only: our own application, which accepts our id and de-duplicates by it."""

from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr

from contracts.modal_app import UNDECIDED
from contracts.renders import Billed
from services.gateways.kit.provider import (
    LOCKED_OUT,
    AttemptStatus,
    Completed,
    Failed,
    InProgress,
    NotAccepted,
    NotFound,
    OutcomeUnknown,
    Rejected,
    StatusUnavailable,
)
from services.gateways.modal.adapter import ModalProvider
from services.gateways.modal.settings import ModalSettings
from shared.ids import uuid7
from tests.fakes.adapters import AdapterHarness, an_adapter, an_adapter_harness, lookup_of, quick_client
from tests.fakes.provider import FakeInputs, an_attempt_request

REFERENCE, FACE = f"{uuid7()}/0", f"{uuid7()}/1"
LORA = {"key": "loras/mia.safetensors", "trigger_word": "mia7", "scale": 0.8}
CALL = {"id": "fc-1"}


@pytest.fixture
async def harness() -> AsyncIterator[AdapterHarness]:
    async with an_adapter_harness("modal") as made:
        made.inputs.images.update({REFERENCE: b"r", FACE: b"f"})
        yield made


def told(status: int, text: str = "", **headers: str) -> ModalProvider:
    kind = {"content-type": "application/json" if text.startswith(("{", "[")) else "text/plain"} | headers
    transport = httpx.MockTransport(lambda request: httpx.Response(status, text=text, headers=kind))
    http = httpx.AsyncClient(transport=transport, verify=False)
    provider = an_adapter("modal", http, "https://acme--imagegen.modal.run", FakeInputs())
    assert isinstance(provider, ModalProvider)
    return provider


def stopped(billed: Billed) -> Failed:
    return Failed("cancelled", "the call was cancelled at Modal", False, billed)


async def test_inputs_go_as_signed_links(harness: AdapterHarness) -> None:
    await harness.submit(
        an_attempt_request("modal", reference=REFERENCE, face=FACE, lora=LORA, negative_prompt="blur")
    )
    [entry] = await harness.submission_log()
    asked = entry["input"]["input"]
    assert asked["reference_url"] == f"{harness.url}/{REFERENCE}?signature=s"
    assert asked["face_url"] == f"{harness.url}/{FACE}?signature=s"
    assert asked["lora"] == {"url": f"{harness.url}/loras/mia.safetensors?signature=s", "scale": 0.8}
    assert (asked["prompt"], asked["negative_prompt"]) == ("a lighthouse", "blur")


async def test_a_workflow_is_handed_on_with_its_holes_filled(harness: AdapterHarness) -> None:
    workflow = {"1": {"class_type": "KSampler", "inputs": {"seed": "{{seed}}", "model": ["4", 0]}}}
    await harness.submit(an_attempt_request("modal", workflow=workflow, seed=9, model="sdxl"))
    [entry] = await harness.submission_log()
    asked = entry["input"]["input"]
    assert asked["workflow"]["1"]["inputs"] == {"seed": 9, "model": ["4", 0]}
    assert asked["model"] == "sdxl"


async def test_the_same_attempt_sent_twice_is_one_call(harness: AdapterHarness) -> None:
    request = an_attempt_request("modal")
    assert await harness.submit(request) == await harness.submit(request)
    assert len(await harness.submission_log()) == 1


async def test_percent_is_reported_while_a_call_runs(harness: AdapterHarness) -> None:
    await harness.behave(latency_seconds=30)
    request = an_attempt_request("modal")
    status = await harness.reach(request, await harness.submit(request), "running")
    assert status.percent == 0


@pytest.mark.parametrize(("state", "billed"), [("queued", "no"), ("running", "yes")])
async def test_a_call_that_was_cancelled_is_over_and_costs_the_time_it_ran(
    harness: AdapterHarness, state: str, billed: str
) -> None:
    await harness.behave(latency_seconds=30, concurrency=1)
    if state == "queued":
        await harness.submit(an_attempt_request("modal"))
    request = an_attempt_request("modal")
    ref = await harness.submit(request)
    await harness.reach(request, ref, state)
    await harness.provider.cancel(request, ref)
    status = await harness.end(request, ref)
    assert isinstance(status, Failed)
    assert (status.code, status.retryable, status.billed) == ("cancelled", False, billed)


async def test_a_request_without_credentials_is_rejected(harness: AdapterHarness) -> None:
    settings = ModalSettings(base_url=harness.url, key=SecretStr(""), secret=SecretStr(""))
    async with quick_client(1.0) as http:
        provider = ModalProvider(http, settings, FakeInputs())
        request = an_attempt_request("modal")
        with pytest.raises(Rejected) as raised:
            await provider.submit(request, await provider.prepare(request))
    assert raised.value.code == "provider_unauthorized"
    assert await harness.submission_log() == []


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (202, "", InProgress("queued")),
        (202, '{"status":"pending"}', InProgress("queued")),
        (202, '{"status":"running","progress":41.6}', InProgress("running", percent=42)),
        (202, '{"status":"running","progress":1e9}', InProgress("running", percent=100)),
        (404, '{"detail":"Not Found"}', NotFound("Modal no longer knows this call")),
        (410, '{"detail":"cancelled"}', stopped("unknown")),
        (410, '{"status":"cancelled","started":false}', stopped("no")),
        (410, '{"status":"cancelled","started":true}', stopped("yes")),
        (
            200,
            '{"status":"succeeded"}',
            Failed("no_output", "the call succeeded without an output", False, "yes"),
        ),
        (
            200,
            '{"status":"failed","error":{"type":"ValueError","message":"no","retryable":false}}',
            Failed("provider_error", "ValueError: no", False, "yes"),
        ),
    ],
)
async def test_every_answer_has_one_meaning(status: int, text: str, expected: AttemptStatus) -> None:
    assert await told(status, text).poll(an_attempt_request("modal"), CALL) == expected


@pytest.mark.parametrize(
    ("status", "text"),
    [(200, "not json"), (200, '{"status":"done"}'), (202, "[]"), (303, ""), (500, "boom"), (503, "")],
)
async def test_nonsense_is_no_answer(status: int, text: str) -> None:
    with pytest.raises(StatusUnavailable):
        await told(status, text).poll(an_attempt_request("modal"), CALL)


@pytest.mark.parametrize("text", ['{"call_id":"../../etc","id":"x"}', "{}", "fc-1"])
async def test_a_call_id_that_is_none_is_an_unknown_outcome(text: str) -> None:
    provider, request = told(200, text), an_attempt_request("modal")
    with pytest.raises(OutcomeUnknown):
        await provider.submit(request, await provider.prepare(request))


async def test_a_busy_application_that_may_have_started_it_is_an_unknown_outcome() -> None:
    request = an_attempt_request("modal")
    for headers, kind in (({}, NotAccepted), ({UNDECIDED: "1"}, OutcomeUnknown)):
        provider = told(503, **headers)
        with pytest.raises(kind):
            await provider.submit(request, await provider.prepare(request))


async def test_a_failed_lookup_does_not_mean_absence() -> None:
    for provider in (told(500, "boom"), told(503), told(200, "{}")):
        with pytest.raises(StatusUnavailable):
            await lookup_of(provider).find(an_attempt_request("modal"))


NOT_DEPLOYED = "modal-http: app for invoked web endpoint is stopped"


async def test_an_application_that_is_not_there_is_no_fault_of_the_request() -> None:
    provider, request = told(404, NOT_DEPLOYED), an_attempt_request("modal")
    with pytest.raises(Rejected) as raised:
        await provider.submit(request, await provider.prepare(request))
    assert (raised.value.code, raised.value.retryable) == ("provider_not_deployed", False)
    assert raised.value.code in LOCKED_OUT, "the circuit hears of it"


async def test_an_application_that_is_not_there_does_not_say_that_it_has_nothing_of_ours() -> None:
    provider, request = told(404, NOT_DEPLOYED), an_attempt_request("modal")
    with pytest.raises(StatusUnavailable):
        await lookup_of(provider).find(request)
    with pytest.raises(StatusUnavailable):
        await provider.poll(request, CALL)
    with pytest.raises(StatusUnavailable):
        await provider.unfinished()


@pytest.mark.parametrize(("status", "text"), [(404, '{"detail": "Not Found"}'), (200, "{}"), (422, "{}")])
async def test_an_answer_that_is_no_list_does_not_say_that_nothing_is_there(status: int, text: str) -> None:
    with pytest.raises(StatusUnavailable):
        await told(status, text).unfinished()


async def test_calls_are_listed_until_they_have_ended(harness: AdapterHarness) -> None:
    await harness.behave(latency_seconds=0.2, concurrency=1)
    assert isinstance(harness.provider, ModalProvider)
    orders = [an_attempt_request("modal") for _ in range(2)]
    refs = [await harness.submit(request) for request in orders]
    assert await harness.provider.unfinished() == {request.idempotency_key for request in orders}
    await harness.end(orders[0], refs[0])
    assert await harness.provider.unfinished() == {orders[1].idempotency_key}
    await harness.provider.cancel(orders[1], refs[1])
    assert await harness.provider.unfinished() == frozenset()


async def test_outputs_of_a_call_are_named_by_path(harness: AdapterHarness) -> None:
    request = an_attempt_request("modal", seed=5)
    status = await harness.end(request, await harness.submit(request))
    assert isinstance(status, Completed)
    [output] = status.outputs
    assert output.url is None
    assert output.path is not None
    assert output.path.startswith("/outputs/fc-")
    assert (status.seed, output.content_type) == (5, "image/png")


async def test_our_application_reads_prose_and_a_workflow_reads_what_its_model_does(
    harness: AdapterHarness,
) -> None:
    sdxl = {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd_xl_base.safetensors"}}}
    assert harness.provider.dialect(an_attempt_request("modal")) == "prose"
    assert harness.provider.dialect(an_attempt_request("modal", workflow=sdxl)) == "tags"
