"""Credentials of URLs: put back or sent as a header, and removed from texts for people and logs."""

import base64
import re
from urllib.parse import unquote_to_bytes

from contracts.web_addresses import USERINFO

_USERINFO_IN_TEXT = re.compile(USERINFO.format(quotes="\"'"), re.IGNORECASE)


def with_credentials(url: str, credentials: str | None) -> str:
    """Return the URL with the credentials that `split_credentials` took from it."""
    scheme, separator, rest = url.partition("://")
    return url if credentials is None else f"{scheme}{separator}{credentials}@{rest}"


def basic_authorization(credentials: str) -> str:
    """Return the `Authorization` header of credentials as a URL writes them."""
    user, _, password = credentials.partition(":")
    text = b":".join((unquote_to_bytes(user), unquote_to_bytes(password)))
    return "Basic " + base64.b64encode(text).decode()


def redacted(text: str) -> str:
    """Replace the credentials of every URL in a text by `***`."""
    return _USERINFO_IN_TEXT.sub(r"\1***@", text)
