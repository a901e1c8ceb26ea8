"""Credentials of URLs are found wherever they stand, and nothing else is taken for them."""

import base64
import json
from urllib.parse import urlsplit

import pytest
import structlog
from hypothesis import assume, given
from hypothesis import strategies as st

from contracts.web_addresses import split_credentials
from shared.observability.logs import redact_credentials
from shared.url_credentials import basic_authorization, redacted, with_credentials


@pytest.mark.parametrize(
    ("url", "address", "credentials"),
    [
        ("http://us%20er:p%40ss@shop.example:8/a?b=c#d", "http://shop.example:8/a?b=c#d", "us%20er:p%40ss"),
        ("https://user@shop.example", "https://shop.example", "user"),
        ("https://user:p@ss@[::1]:8/", "https://[::1]:8/", "user:p@ss"),
        ("https://@shop.example/", "https://shop.example/", ""),
        ("https://shop.example/@handle?mail=a@b.c", "https://shop.example/@handle?mail=a@b.c", None),
        ("not a url", "not a url", None),
        ("http://[", "http://[", None),
        ("http://shop.example:8/a@b", "http://shop.example:8/a@b", None),
        ("http://shop.example?mail=a@b", "http://shop.example?mail=a@b", None),
        ("http://[2001:db8::1]:8080/hooks/@team", "http://[2001:db8::1]:8080/hooks/@team", None),
        ("http://[::1]/x?to=a@b.example", "http://[::1]/x?to=a@b.example", None),
        ("http://o'neil:p@[::1]:8/@team", "http://[::1]:8/@team", "o'neil:p"),
    ],
)
def test_a_url_is_split_and_put_together_again(url: str, address: str, credentials: str | None) -> None:
    assert split_credentials(url) == (address, credentials)
    assert with_credentials(address, credentials) == url


HOSTS = st.sampled_from(["shop.example", "127.0.0.1", "[2001:db8::1]", "[::ffff:1.2.3.4]", "[fe80::1%25en0]"])
PORTS = st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}"))
USERS = st.text("ab:@%2F'!$&()*+,;=~._-", max_size=12)
PATHS = st.text("ab/@:?#[]%'=&.", max_size=12).map(lambda path: f"/{path}")


def _reads(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:
        return False


@given(HOSTS, PORTS, st.none() | USERS, st.one_of(st.just(""), PATHS, PATHS.map(lambda path: f"?{path}")))
def test_credentials_and_host_are_those_that_the_url_standard_sees(
    host: str, port: str, user: str | None, path: str
) -> None:
    url = f"http://{host}{port}{path}" if user is None else f"http://{user}@{host}{port}{path}"
    assume(_reads(url))
    assume(port or path)
    address, credentials = split_credentials(url)
    assert address == f"http://{host}{port}{path}"
    assert urlsplit(address).hostname == urlsplit(url).hostname
    assert (credentials is None) == (user is None)


@pytest.mark.parametrize("password", ["p/a?s#s", "p/1", "/", "#"])
def test_a_password_with_delimiters_of_urls_is_still_one(password: str) -> None:
    address, credentials = split_credentials(f"https://user:{password}@shop.example/hook")
    assert address == "https://shop.example/hook"
    assert credentials
    assert "/" not in credentials
    expected = base64.b64encode(f"user:{password}".encode()).decode()
    assert basic_authorization(credentials) == f"Basic {expected}"
    assert redacted(f"POST https://user:{password}@shop.example/hook: 500") == (
        "POST https://***@shop.example/hook: 500"
    )


def test_credentials_are_decoded_before_they_are_sent() -> None:
    assert basic_authorization("us%20er:p%40ss") == "Basic dXMgZXI6cEBzcw=="


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET http://a:b@c/d failed", "GET http://***@c/d failed"),
        ("ws://a:p@ss@c and HTTPS://x@y", "ws://***@c and HTTPS://***@y"),
        ('{"url": "https://c/@d", "to": "a@b.c"}', '{"url": "https://c/@d", "to": "a@b.c"}'),
    ],
)
def test_texts_are_shown_without_them(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_a_log_line_names_none_not_even_in_a_traceback() -> None:
    try:
        raise ValueError("http://user:hunter2@shop.example is odd")
    except ValueError as error:
        event = {"event": "webhook_failed", "exc_info": error, "url": "http://user:hunter2@shop.example"}
        line = redact_credentials(None, "error", structlog.processors.format_exc_info(None, "error", event))
    assert "hunter2" not in json.dumps(line, default=str)
    assert line["url"] == "http://***@shop.example"
