"""Requests to one server: repeated while it is unavailable, answers read as models."""

import asyncio
from collections.abc import Mapping
from typing import TypeVar

import httpx
from pydantic import ValidationError

from contracts.base import Model
from contracts.http import Problem
from imagegen_client.errors import RequestRejected, ServerUnavailable, reason_of

M = TypeVar("M", bound=Model)

PAUSE_SECONDS = 0.5
"""Time between two tries, unless a 503 names another in `Retry-After`."""


class Server:
    """The API or the notifier."""

    def __init__(self, name: str, url: str, http: httpx.AsyncClient, patience_seconds: float) -> None:
        self.name = name
        self.url = url.rstrip("/")
        self.http = http
        self._patience_seconds = patience_seconds

    async def call(
        self,
        kind: type[M],
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int | None] | None = None,
        body: Mapping[str, object] | None = None,
        idempotency_key: str | None = None,
    ) -> M:
        """Send a request and return its answer. Query parameters that are None are left out.

        Raises:
            ServerUnavailable: when there was no usable answer within the patience.
            RequestRejected: when the answer is a problem document.
        """
        params = {name: value for name, value in (query or {}).items() if value is not None}
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        request = self.http.build_request(method, self.url + path, params=params, json=body, headers=headers)
        response = await self._send(request)
        try:
            if response.is_success:
                return kind.model_validate_json(response.content)
        except ValidationError as error:
            raise self.unavailable(_unexpected(response)) from error
        raise self.rejected(response)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        """Return the first answer that is not 503. All operations are idempotent, so all are repeated."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._patience_seconds
        while True:
            try:
                response = await self.http.send(request)
            except httpx.HTTPError as error:
                reason, pause = reason_of(error), PAUSE_SECONDS
            else:
                if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    return response
                reason, pause = str(self.rejected(response)), _retry_after(response)
            left = deadline - clock()
            if left <= 0:
                raise self.unavailable(reason)
            await asyncio.sleep(min(pause, left))

    def unavailable(self, reason: str) -> ServerUnavailable:
        """Return the error for a server without a usable answer."""
        return ServerUnavailable(self.name, self.url, reason)

    def rejected(self, response: httpx.Response) -> RequestRejected | ServerUnavailable:
        """Return the error for an answer whose body has been read: a proxy's page is no problem document."""
        try:
            return RequestRejected(Problem.model_validate_json(response.content))
        except ValidationError:
            return self.unavailable(_unexpected(response))


def _unexpected(response: httpx.Response) -> str:
    return f"unexpected answer with status {response.status_code}"


def _retry_after(response: httpx.Response) -> float:
    """Return the seconds that `Retry-After` names; a date there counts as absent."""
    seconds = response.headers.get("Retry-After", "")
    return float(seconds) if seconds.isascii() and seconds.isdigit() else PAUSE_SECONDS
