"""Addresses to which no request can be sent are refused; all others are accepted."""

import pytest

from contracts.web_addresses import address_error, without_addresses

HOST, PORT, NAME, BRACKETS = (
    "must name a host,",
    "must have a port",
    "must name a host that",
    "must name a host;",
)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://", HOST),
        ("http:///x", HOST),
        ("http://:80/x", HOST),
        ("http://?", HOST),
        ("http://user:pw@", HOST),
        ("http://x:0/", PORT),
        ("http://x:99999/", PORT),
        ("http://x:port/", PORT),
        ("http://user:99999/pw@shop.example/", PORT),
        ("http://.", NAME),
        ("http://a..b/", NAME),
        ("http://xn--/", NAME),
        ("http://xn--zz/", NAME),
        ("http://1.2.3.4.5/", NAME),
        ("http://300.1.1.1/", NAME),
        ("http://ex|ample.com/", NAME),
        ("http://a%20b/", NAME),
        (f"http://{'a' * 64}.example/", NAME),
        ("http://" + "a." * 130 + "example/", NAME),
        ("http://[::1]x/", NAME),
        ("http://[v1.x]/", NAME),
        ("http://[::1", BRACKETS),
        ("http://[]/", BRACKETS),
    ],
)
def test_an_unusable_address_has_an_error(url: str, fault: str) -> None:
    said = address_error(url)
    assert said
    assert said.startswith(fault)
    assert "pw" not in said


@pytest.mark.parametrize("credentials", ["u%0a:p", "u:%00p", "u:p%0D%0AX-Y:%201", "%7f"])
def test_control_characters_in_credentials_are_refused(credentials: str) -> None:
    message = "must have no control characters in its user or password"
    assert address_error(f"https://{credentials}@shop.example/") == message


@pytest.mark.parametrize(
    "url",
    [
        "https://u:%ff%c3%bc@shop.example/",
        "https://shop.example/hooks",
        "https://shop.example.:443/",
        "http://user:p/w@shop.example:8080/hooks/@team",
        "http://web_hooks:9/",
        "http://xn--mnchen-3ya.example/",
        "http://127.1/",
        "http://2130706433/",
        "http://[2001:db8::1]:8080/hooks/@team",
        "http://[::ffff:1.2.3.4]?x=1",
        "http://shop.example:/",
    ],
)
def test_a_possible_address_is_accepted(url: str) -> None:
    assert address_error(url) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://127.0.0.1:8192/view?filename=x&type=output: 403", "/view 403"),
        ("cannot fetch https://minio.internal:9000/b/k.png?X-Sig=1, gone", "cannot fetch /b/k.png gone"),
        ("no connection to 10.0.0.5:8188.", "no connection to …."),
        ("at [::1]:8188", "at …"),
        ("s3://bucket", "…"),
        ("version 1.2.3 at 12:30 gave [fail] 1.2.3.4.5", "version 1.2.3 at 12:30 gave [fail] 1.2.3.4.5"),
    ],
)
def test_a_text_for_callers_names_no_hosts(text: str, shown: str) -> None:
    assert without_addresses(text) == shown
