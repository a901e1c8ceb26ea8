"""httpx on aiohttp's connection pool: one shared client per process, many calls in flight."""

from http.cookiejar import CookieJar
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from shared.http.certificates import certificates

IDLE_SECONDS = 3.0
"""How long idle connections are kept. Many servers close theirs after 5 s. A request sent at that moment
has an unknown outcome, and a submission must be looked up before it is sent again."""


class BasicAuthTransport(AiohttpTransport):
    """Remove credentials from the URL before aiohttp sees it; httpx has sent them as Basic authentication.

    aiohttp refuses a URL with credentials beside an `Authorization` header, and names URLs in its errors.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.userinfo:
            request.url = request.url.copy_with(userinfo=b"")
        return await super().handle_async_request(request)


class HonestTransport(BasicAuthTransport):
    """Raises connect errors only when nothing was sent.

    The transport below reports every lost connection as a connect timeout, also one that the server
    closed after our request. A paid request would be sent twice.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if isinstance(error.__cause__, aiohttp.ClientConnectorError):
                raise httpx.ConnectError(str(error), request=request) from error
            if isinstance(error.__cause__, aiohttp.ConnectionTimeoutError):
                raise
            raise httpx.ReadError(f"connection lost after sending: {error}", request=request) from error
        except aiohttp.ClientError as error:
            raise httpx.ReadError(f"{type(error).__name__}: {error}", request=request) from error


class NoCookies(CookieJar):
    """Keeps no cookies, and reads none from answers."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Do nothing."""


def request_timeout(seconds: float) -> httpx.Timeout:
    """Return the limits: `seconds` for the answer, others for connecting and for a free connection."""
    return httpx.Timeout(seconds, connect=5.0, pool=max(5.0, seconds))


def http_client(*, timeout_seconds: float = 20.0, connections: int = 256) -> httpx.AsyncClient:
    """Return a client without redirects, cookies and the environment's proxy settings."""
    transport = HonestTransport(
        verify=certificates(),
        limits=httpx.Limits(
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=IDLE_SECONDS,
        ),
    )
    return httpx.AsyncClient(
        transport=transport,
        timeout=request_timeout(timeout_seconds),
        follow_redirects=False,
        trust_env=False,
        cookies=NoCookies(),
    )
