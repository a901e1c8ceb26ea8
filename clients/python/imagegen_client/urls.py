"""URLs: check, compose and shorten them."""

from urllib.parse import quote

import httpx


def checked_url(name: str, url: str) -> str:
    """Return the URL of a server.

    Raises:
        ValueError: with the name, when the URL is not an absolute HTTP URL.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{name}: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{name}: must begin with http:// or https:// and name a host")
    return url


def path_of(*parts: str) -> str:
    """Return a path of version 1 of the API. Each part, such as an id, may be any text."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def without_query(url: str) -> str:
    """Return the URL without its query, which holds the signature of a signed link."""
    return str(httpx.URL(url).copy_with(query=None))


def without_credentials(url: str) -> str:
    """Return the URL without user name and password."""
    return str(httpx.URL(url).copy_with(userinfo=b""))
