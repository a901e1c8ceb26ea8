"""Meaning of each HTTP answer, for a paid submission and for a question about one."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from services.gateways.kit.provider import NotAccepted, OutcomeUnknown, Rejected, StatusUnavailable
from services.gateways.kit.wire import MAX_ANSWER_BYTES, ask, json_of, redacted, send_paid

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
        (400, Rejected, "invalid_request"),
        (401, Rejected, "provider_unauthorized"),
        (403, Rejected, "provider_unauthorized"),
        (404, Rejected, "invalid_request"),
        (422, Rejected, "invalid_request"),
        (429, NotAccepted, "provider_busy"),
        (503, NotAccepted, "provider_busy"),
    ],
)
async def test_an_answer_with_a_rejecting_status_is_certain(
    status: int, error: type[Exception], code: str
) -> None:
    with pytest.raises(error) as raised:
        await send_paid(answering(status), URL, json={})
    assert isinstance(raised.value, Rejected | NotAccepted)
    assert raised.value.code == code


@pytest.mark.parametrize("status", [303, 307, 408, 500, 502, 504])
async def test_an_ambiguous_answer_is_an_unknown_outcome(status: int) -> None:
    with pytest.raises(OutcomeUnknown):
        await send_paid(answering(status), URL, json={})


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
async def test_a_request_that_was_certainly_not_sent_is_not_accepted(
    error: type[httpx.TransportError],
) -> None:
    with pytest.raises(NotAccepted):
        await send_paid(failing(error), URL, json={})


@pytest.mark.parametrize(
    "error",
    [httpx.ReadError, httpx.ReadTimeout, httpx.WriteError, httpx.WriteTimeout, httpx.RemoteProtocolError],
)
async def test_a_request_that_may_have_been_sent_has_an_unknown_outcome(
    error: type[httpx.TransportError],
) -> None:
    with pytest.raises(OutcomeUnknown):
        await send_paid(failing(error), URL, json={})


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("17", 17.0),
        ("0", 0.0),
        ("-5", None),
        ("nan", None),
        ("999999", 3600.0),
        ("Mon, 23 Nov 2020 05:00:00 GMT", 0.0),
        ("Sun, 23 Nov 2098 05:00:00 GMT", 3600.0),
        ("soon", None),
    ],
)
async def test_retry_after_is_heeded_within_reason(header: str, seconds: float | None) -> None:
    with pytest.raises(NotAccepted) as raised:
        await send_paid(answering(429, Retry_After=header), URL, json={})
    assert raised.value.after_seconds == seconds


@pytest.mark.parametrize("status", [301, 303, 307, 401, 403, 408, 429, 502, 503])
async def test_a_status_that_is_unavailable_now_is_asked_again(status: int) -> None:
    with pytest.raises(StatusUnavailable):
        await ask(answering(status), "GET", URL)


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadError, httpx.ReadTimeout])
async def test_a_question_that_did_not_get_through_is_asked_again(error: type[httpx.TransportError]) -> None:
    with pytest.raises(StatusUnavailable):
        await ask(failing(error), "GET", URL)


@pytest.mark.parametrize("text", ["", "<html>", '{"half', "[]", '"text"', "7"])
async def test_an_answer_that_is_no_json_object_is_unavailable(text: str) -> None:
    answer = await ask(answering(200, text), "GET", URL)
    with pytest.raises(StatusUnavailable) as raised:
        json_of(answer)
    assert len(str(raised.value)) < 600, "an error is for people"


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000])
async def test_an_answer_that_is_nested_too_deep_to_be_read_is_none(text: str) -> None:
    answer = await ask(answering(200, text), "GET", URL)
    with pytest.raises(StatusUnavailable):
        json_of(answer)


@pytest.mark.parametrize("charset", ["zlib", "base64", "rot13", "idna", "no-such", "utf-16"])
async def test_the_charset_of_an_answer_is_not_believed(charset: str) -> None:
    http = answering(422, "no such model", Content_Type=f"text/plain; charset={charset}")
    with pytest.raises(Rejected) as raised:
        await send_paid(http, URL, json={})
    assert "no such model" in raised.value.message
    with pytest.raises(StatusUnavailable):
        json_of(await ask(http, "GET", URL))


async def test_an_answer_with_a_byte_order_mark_or_a_wrong_byte_is_read() -> None:
    answer = httpx.Response(200, content=b'\xef\xbb\xbf{"a": "b\xff"}')
    assert json_of(answer) == {"a": "b\ufffd"}


async def test_an_error_text_is_short_and_on_one_line() -> None:
    with pytest.raises(Rejected) as raised:
        await send_paid(answering(422, "a\n" * 5000), URL, json={})
    assert "\n" not in raised.value.message
    assert len(raised.value.message) <= 1000


class Endless:
    """A provider whose answer has no end; counts the bytes that were read."""

    def __init__(self) -> None:
        self.read = 0
        answer = httpx.MockTransport(lambda request: httpx.Response(200, content=self._body()))
        self.http = httpx.AsyncClient(transport=answer, verify=False)

    async def _body(self) -> AsyncIterator[bytes]:
        while self.read <= 4 * MAX_ANSWER_BYTES:
            self.read += 65_536
            yield b"a" * 65_536


async def test_an_endless_answer_to_a_submission_is_left_off_and_may_mean_anything() -> None:
    endless = Endless()
    with pytest.raises(OutcomeUnknown) as raised:
        await send_paid(endless.http, URL, json={})
    assert endless.read <= MAX_ANSWER_BYTES + 65_536
    assert len(str(raised.value)) < 600, "an error is for people"


async def test_an_endless_answer_to_a_question_is_none() -> None:
    endless = Endless()
    with pytest.raises(StatusUnavailable):
        await ask(endless.http, "GET", URL)
    assert endless.read <= MAX_ANSWER_BYTES + 65_536


class Dripping:
    """A provider that sends a few bytes all the time and never finishes."""

    def __init__(self) -> None:
        self.said = 0
        answer = httpx.MockTransport(lambda request: httpx.Response(200, content=self._body()))
        self.http = httpx.AsyncClient(transport=answer, verify=False, timeout=0.1)

    async def _body(self) -> AsyncIterator[bytes]:
        while True:
            self.said += 1
            yield b" "
            await asyncio.sleep(0.01)


async def test_an_answer_that_drips_is_left_off_and_may_mean_anything() -> None:
    with pytest.raises(OutcomeUnknown):
        await send_paid(Dripping().http, URL, json={})


async def test_a_dripping_answer_to_a_question_is_none() -> None:
    dripping = Dripping()
    with pytest.raises(StatusUnavailable):
        await ask(dripping.http, "GET", URL)
    said = dripping.said
    await asyncio.sleep(0.05)
    assert dripping.said == said, "nobody listens any more"


async def test_a_refusal_says_what_its_provider_makes_of_it() -> None:
    with pytest.raises(Rejected) as raised:
        await send_paid(answering(400, "{...}"), URL, reason_in=lambda answer: f"node 7: {SECRETS}", json={})
    assert raised.value.message.startswith("400 node 7: cannot read")
    assert "s3cr3t" not in raised.value.message


async def test_a_large_answer_within_the_limit_is_read_whole() -> None:
    text = '{"a":"' + "a" * (MAX_ANSWER_BYTES - 100) + '"}'
    assert len(json_of(await ask(answering(200, text), "GET", URL))["a"]) == MAX_ANSWER_BYTES - 100


@pytest.mark.parametrize("status", [500, 501, 507, 599])
async def test_a_server_error_is_unavailable_unless_errors_are_results(status: int) -> None:
    with pytest.raises(StatusUnavailable):
        await ask(answering(status), "GET", URL)
    answer = await ask(answering(status, '{"detail": "x"}'), "GET", URL, errors_are_results=True)
    assert (answer.status_code, json_of(answer)) == (status, {"detail": "x"})


@pytest.mark.parametrize("status", [401, 403, 408, 429])
async def test_an_authentication_error_is_never_the_result(status: int) -> None:
    with pytest.raises(StatusUnavailable):
        await ask(answering(status), "GET", URL, errors_are_results=True)


SECRETS = "cannot read https://user:hunter2@bucket.example/a.png?X-Signature=s3cr3t&x=1 'there'"


@pytest.mark.parametrize("status", [400, 401, 429, 500])
async def test_texts_for_users_contain_no_credentials_and_no_signatures(status: int) -> None:
    with pytest.raises((Rejected, NotAccepted, OutcomeUnknown)) as raised:
        await send_paid(answering(status, SECRETS), URL, json={})
    assert "hunter2" not in str(raised.value)
    assert "s3cr3t" not in str(raised.value)
    assert "bucket.example/a.png" in str(raised.value), "it still says what it is about"


async def test_a_question_that_fails_keeps_secrets_too() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError(SECRETS, request=request)

    http = httpx.AsyncClient(transport=httpx.MockTransport(fail), verify=False)
    with pytest.raises(StatusUnavailable) as asked:
        await ask(http, "GET", "https://key:hunter2@provider.example/status?token=s3cr3t")
    with pytest.raises(OutcomeUnknown) as sent:
        await send_paid(http, URL, json={})
    for message in (str(asked.value), str(sent.value)):
        assert "hunter2" not in message
        assert "s3cr3t" not in message


def test_text_without_links_is_unchanged() -> None:
    assert redacted("why? a@b.c, see https://x.example/y") == "why? a@b.c, see https://x.example/y"


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_answer_from_behind_the_front_end_may_mean_acceptance(status: int) -> None:
    with pytest.raises(OutcomeUnknown):
        await send_paid(answering(status, X_Request_Id="17"), URL, acceptance_header="x-request-id", json={})
    with pytest.raises(NotAccepted):
        await send_paid(answering(status), URL, acceptance_header="x-request-id", json={})
