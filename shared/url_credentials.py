"""Credentials in URLs: separated before a URL is stored, and removed from texts for people and logs."""

import base64
import re
from urllib.parse import unquote, urlsplit, urlunsplit

_USERINFO = re.compile(r"([a-z][a-z0-9+.-]*://)[^/?#\s\"']*@", re.IGNORECASE)


def split_credentials(url: str) -> tuple[str, str | None]:
    """Return the URL without credentials, and `user:password` as the URL writes it.

    A text that is not a URL comes back as it is.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url, None
    userinfo, at, host = parts.netloc.rpartition("@")
    return (urlunsplit(parts._replace(netloc=host)), userinfo) if at else (url, None)


def with_credentials(url: str, credentials: str | None) -> str:
    """Return the URL with the credentials that `split_credentials` took from it."""
    if credentials is None:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{credentials}@{parts.netloc}"))


def basic_authorization(credentials: str) -> str:
    """Return the `Authorization` header of credentials as a URL writes them."""
    user, _, password = credentials.partition(":")
    return "Basic " + base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()


def redacted(text: str) -> str:
    """Replace the credentials of every URL in a text by `***`."""
    return _USERINFO.sub(r"\1***@", text)
