"""One webhook over HTTP: signed, with a time limit, never to a private network."""

import asyncio
import base64
import hmac
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import httpx
from pydantic import ValidationError
from standardwebhooks import Webhook

from contracts.wording import error_text
from services.notifier.deliveries import Delivery, Outcome
from services.notifier.hosts import is_public
from shared.http.certificates import certificates
from shared.http.client import BasicAuthTransport
from shared.http.retry_after import retry_after
from shared.url_credentials import basic_authorization, redacted

MAX_ERROR = 500
"""Number of characters of an error that are stored."""


class RefusedAddress(OSError):
    """A webhook's host is, or resolves to, an address that is not public."""


def guarded_socket(address: tuple[Any, ...]) -> socket.socket:
    """Return a socket; check the resolved address at connect time (prevents DNS rebinding)."""
    family, kind, protocol, _, (host, *_) = address
    if not is_public(host):
        raise RefusedAddress("the address is not public")
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    return made


@asynccontextmanager
async def webhook_client(*, private_hosts: bool, connections: int) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client without redirects and proxies that checks every address at connect time."""

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=connections, socket_factory=None if private_hosts else guarded_socket
        )
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    transport = BasicAuthTransport(client=session, verify=certificates())
    async with httpx.AsyncClient(transport=transport, follow_redirects=False, trust_env=False) as client:
        yield client


def secret_of(tenant: str, secret: str) -> str:
    """Return the secret with which a tenant verifies its webhooks, derived from the service's own."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    own = hmac.digest(key, f"webhooks of {tenant}".encode(), "sha256")
    return f"whsec_{base64.b64encode(own).decode()}"


class Poster:
    """Signs deliveries according to Standard Webhooks, and posts them. Each tenant has its own secret.

    Args:
        relink: adds links that are valid from now to a stored event.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        secret: str,
        relink: Callable[[str], Awaitable[str]],
        *,
        timeout_seconds: float,
    ) -> None:
        self._client = client
        self._secret = secret
        self._relink = relink
        self._timeout = timeout_seconds

    async def post(self, delivery: Delivery) -> Outcome:
        """Send one POST without following redirects. The answer's body is not read."""
        try:
            body = await self._relink(delivery.body)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            reason = f"{'.'.join(map(str, first['loc'])) or 'event'} {error_text(first)}"
            return Outcome(error=f"stored event cannot be read: {reason}"[:MAX_ERROR], unsent=True)
        return await self._send(delivery, body)

    async def _send(self, delivery: Delivery, body: str) -> Outcome:
        try:
            async with asyncio.timeout(self._timeout):
                headers = self._headers(delivery, body, datetime.now(UTC))
                if delivery.credentials is not None:
                    headers["authorization"] = basic_authorization(delivery.credentials)
                async with self._client.stream(
                    "POST", delivery.url, content=body.encode(), headers=headers
                ) as answer:
                    return _outcome(answer)
        except TimeoutError:
            return Outcome(error=f"no answer within {self._timeout:g} s")
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
            return Outcome(error=f"bad address: {redacted(str(error))}", refused=True)
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            text = f"{type(error).__name__}: {redacted(str(error))}"
            return Outcome(error=text[:MAX_ERROR], refused=is_refused(error))

    def _headers(self, delivery: Delivery, body: str, now: datetime) -> dict[str, str]:
        webhook = Webhook(secret_of(delivery.tenant, self._secret))
        return {
            "content-type": "application/json",
            "user-agent": "imagegen-notifier",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": webhook.sign(delivery.id, now, body),
        }


def _outcome(answer: httpx.Response) -> Outcome:
    if answer.is_success:
        return Outcome(status=answer.status_code)
    wait = retry_after(answer.headers.get_list("retry-after"), datetime.now(UTC))
    return Outcome(status=answer.status_code, error=answer.reason_phrase, retry_after=wait)


def is_refused(error: BaseException | None) -> bool:
    """Return whether a connection failed because its address is not public."""
    while error is not None:
        if isinstance(error, RefusedAddress) or isinstance(getattr(error, "os_error", None), RefusedAddress):
            return True
        error = error.__cause__
    return False
