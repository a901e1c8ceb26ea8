"""Credentials in URLs: separated before a URL is stored, and removed from texts for people and logs."""

import base64
import re
from urllib.parse import quote, unquote

_USERINFO = re.compile(
    r"([a-z][a-z0-9+.-]*://)(?:[^/?#\s\"']*|[^/?#\s\"':@]*:(?![0-9]+[/?#])[^\s\"'@]*)@", re.IGNORECASE
)
"""Also with a password that contains `/`, `?` or `#` and makes the URL invalid as it stands."""


def split_credentials(url: str) -> tuple[str, str | None]:
    """Return the URL without credentials, and `user:password` as it can stand in a URL.

    A text that is not a URL comes back as it is.
    """
    found = _USERINFO.match(url)
    if not found:
        return url, None
    scheme, rest = found[1], url[found.end() :]
    return scheme + rest, quote(found[0][len(scheme) : -1], safe="%:@!$&'()*+,;=")


def with_credentials(url: str, credentials: str | None) -> str:
    """Return the URL with the credentials that `split_credentials` took from it."""
    scheme, separator, rest = url.partition("://")
    return url if credentials is None else f"{scheme}{separator}{credentials}@{rest}"


def basic_authorization(credentials: str) -> str:
    """Return the `Authorization` header of credentials as a URL writes them."""
    user, _, password = credentials.partition(":")
    return "Basic " + base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()


def redacted(text: str) -> str:
    """Replace the credentials of every URL in a text by `***`."""
    return _USERINFO.sub(r"\1***@", text)
