"""Web addresses: separation of credentials, and errors that make any request fail."""

import re
from ipaddress import IPv6Address
from socket import inet_aton
from typing import Final
from urllib.parse import quote, unquote_to_bytes, urlsplit

USERINFO: Final = (
    r"([a-z][a-z0-9+.-]*://)"
    r"(?:[^/?#\s{quotes}]*|(?!\[)[^/?#\s{quotes}:@]*:(?![0-9]+[/?#])[^\s{quotes}@]*)@"
)
"""Pattern of a scheme with credentials. Also matches a password with an unescaped `/`, `?` or `#`.

A `[` starts an IPv6 address, and digits before the path are a port: an `@` after them is part of the path.
"""
_USERINFO_OF_URL: Final = re.compile(USERINFO.format(quotes=""), re.IGNORECASE)
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_BRACKETED: Final = re.compile(r"\[([^\]]+)\](:[0-9]*)?")
_LINK: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://[^/?#\s\"'<>]*(/[^?#\s\"'<>]*)?([?#][^\s\"'<>]*)?", re.IGNORECASE
)
_IP_ADDRESS: Final = re.compile(
    r"(?<![\w.])\d{1,3}(\.\d{1,3}){3}(:\d+)?(?!\.?\w)|\[[0-9a-f]*:[0-9a-f:]+\](:\d+)?"
)
_LONGEST_HOST: Final = 253


def without_addresses(text: str) -> str:
    """Remove IP addresses and the hosts and queries of links from a text for callers.

    Hosts and addresses may be internal, and a query may contain a signature. Paths are kept.
    """
    return _IP_ADDRESS.sub("…", _LINK.sub(lambda link: link[1] or "…", text))


def split_credentials(url: str) -> tuple[str, str | None]:
    """Return the URL without credentials, and the percent-encoded `user:password` or None.

    A text that is not a URL is returned unchanged.
    """
    found = _USERINFO_OF_URL.match(url)
    if not found:
        return url, None
    scheme, rest = found[1], url[found.end() :]
    return scheme + rest, quote(found[0][len(scheme) : -1], safe="%:@!$&'()*+,;=")


def address_error(url: str) -> str | None:
    """Return the error of an address to which no request can be sent, or None. It omits credentials."""
    bare, credentials = split_credentials(url)
    if credentials and any(byte < 32 or byte == 127 for byte in unquote_to_bytes(credentials)):
        return "must have no control characters in its user or password"
    try:
        parts = urlsplit(bare)
        host = parts.hostname or ""
    except ValueError:
        return "must name a host; an IPv6 address stands in brackets, such as http://[2001:db8::1]:8080/"
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        return "must have a port from 1 to 65535, or none; write / ? # in a password as %2F %3F %23"
    if not host:
        return "must name a host, such as https://example.com/hooks"
    if not (_is_ipv6(parts.netloc) if "[" in parts.netloc else _is_host(host)):
        return "must name a host that can exist, such as https://example.com/hooks"
    return None


def _is_ipv6(authority: str) -> bool:
    found = _BRACKETED.fullmatch(authority)
    try:
        return bool(found and IPv6Address(found[1]))
    except ValueError:
        return False


def _is_host(host: str) -> bool:
    """Return whether a host is a valid DNS name, or an IPv4 address in any notation."""
    labels = host.removesuffix(".").split(".")
    if len(host) > _LONGEST_HOST or not all(map(_LABEL.fullmatch, labels)):
        return False
    try:
        if labels[-1].isdecimal():
            inet_aton(host)
        for label in labels:
            if label.startswith("xn--"):
                label.encode("ascii").decode("idna")
    except (OSError, UnicodeError):
        return False
    return True
