"""What each HTTP answer means: for a paid submission, and for a question about one."""

import httpx
import pytest

from services.gateways.runtime.provider import NoAnswer, NotTaken, OutcomeUnknown, Refused
from services.gateways.runtime.wire import ask, json_of, send_paid

URL = "https://provider.example/submit"


def answering(status: int, text: str = "{}", **headers: str) -> httpx.AsyncClient:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.AsyncClient(
        transport=httpx.MockTransport(lambda request: httpx.Response(status, text=text, headers=named)),
        verify=False,
    )


def failing(error: type[httpx.TransportError]) -> httpx.AsyncClient:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error("simulated", request=request)

    return httpx.AsyncClient(transport=httpx.MockTransport(fail), verify=False)


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (400, Refused, "invalid_request"),
        (401, Refused, "provider_unauthorized"),
        (403, Refused, "provider_unauthorized"),
        (404, Refused, "invalid_request"),
        (422, Refused, "invalid_request"),
        (429, NotTaken, "provider_busy"),
        (503, NotTaken, "provider_busy"),
    ],
)
async def test_an_answer_that_says_no_is_believed(status: int, error: type[Exception], code: str) -> None:
    with pytest.raises(error) as raised:
        await send_paid(answering(status), URL, json={})
    assert isinstance(raised.value, Refused | NotTaken)
    assert raised.value.code == code


@pytest.mark.parametrize("status", [303, 307, 408, 500, 502, 504])
async def test_an_answer_that_may_mean_anything_is_an_unknown_outcome(status: int) -> None:
    with pytest.raises(OutcomeUnknown):
        await send_paid(answering(status), URL, json={})


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
async def test_what_was_surely_not_sent_was_not_taken(error: type[httpx.TransportError]) -> None:
    with pytest.raises(NotTaken):
        await send_paid(failing(error), URL, json={})


@pytest.mark.parametrize(
    "error",
    [httpx.ReadError, httpx.ReadTimeout, httpx.WriteError, httpx.WriteTimeout, httpx.RemoteProtocolError],
)
async def test_what_may_have_been_sent_is_an_unknown_outcome(error: type[httpx.TransportError]) -> None:
    with pytest.raises(OutcomeUnknown):
        await send_paid(failing(error), URL, json={})


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("17", 17.0), ("0", 0.0), ("-5", 0.0), ("999999", 3600.0), ("Mon, 23 Nov 2026 05:00:00 GMT", None)],
)
async def test_retry_after_is_heeded_within_reason(header: str, seconds: float | None) -> None:
    with pytest.raises(NotTaken) as raised:
        await send_paid(answering(429, Retry_After=header), URL, json={})
    assert raised.value.after_seconds == seconds


@pytest.mark.parametrize("status", [401, 403, 408, 429, 502, 503])
async def test_a_question_that_is_not_answered_now_is_asked_again(status: int) -> None:
    with pytest.raises(NoAnswer):
        await ask(answering(status), "GET", URL)


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadError, httpx.ReadTimeout])
async def test_a_question_that_did_not_get_through_is_asked_again(error: type[httpx.TransportError]) -> None:
    with pytest.raises(NoAnswer):
        await ask(failing(error), "GET", URL)


@pytest.mark.parametrize("text", ["", "<html>", '{"half', "[]", '"text"', "7"])
async def test_what_is_no_object_of_ours_is_no_answer(text: str) -> None:
    answer = await ask(answering(200, text), "GET", URL)
    with pytest.raises(NoAnswer) as raised:
        json_of(answer)
    assert len(str(raised.value)) < 600, "an error is for people"


async def test_an_error_for_people_is_short_and_on_one_line() -> None:
    with pytest.raises(Refused) as raised:
        await send_paid(answering(422, "a\n" * 5000), URL, json={})
    assert "\n" not in raised.value.message
    assert len(raised.value.message) <= 1000
