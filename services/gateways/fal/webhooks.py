"""POST /webhooks/fal: Fal says that a request has ended → its attempt is polled now.

Fal's word is a hint: what became of the request is asked over HTTP. But it also brings the id of a
request whose submission was never answered, which Fal cannot be asked for.
"""

import hmac
import json
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

import structlog
from fastapi import FastAPI, Request, Response
from prometheus_client import Counter

from services.gateways.fal.signatures import Keys, KeysUnavailable, NotFals, verify
from services.gateways.kit.provider import AttemptRequest, SubmissionRef
from services.gateways.runtime.recovery.webhook_intake import AddRoutes, WebhookIntake
from shared.http.problems import Refusal, install_problems

log = structlog.get_logger()

MAX_BODY_BYTES = 1024 * 1024
RETRY_AFTER = {"Retry-After": "5"}

webhooks = Counter("imagegen_fal_webhooks", "Webhooks from Fal, by what became of them", ["result"])

RefBuilder = Callable[[AttemptRequest, str], SubmissionRef]
"""Rebuilds the handle of a submission from its order and Fal's request id."""


class WebhookUrls:
    """Makes the URL that Fal calls for an attempt, and knows its own again."""

    def __init__(self, base_url: str, secret: bytes) -> None:
        self._base_url = base_url.rstrip("/")
        self._secret = secret

    def of(self, attempt_id: str) -> str:
        """Names the attempt; the MAC is there because Fal's signature does not cover our URL."""
        return f"{self._base_url}/webhooks/fal?" + urlencode(
            {"attempt": attempt_id, "mac": self._mac(attempt_id)}
        )

    def made(self, attempt_id: str, mac: str) -> bool:
        """Whether we gave out this URL."""
        return hmac.compare_digest(self._mac(attempt_id).encode(), mac.encode())

    def _mac(self, attempt_id: str) -> str:
        return hmac.new(self._secret, attempt_id.encode(), "sha256").hexdigest()


class Webhooks:
    """Verifies a webhook and hands it to the attempt's owner. Any process of the gateway may get it."""

    def __init__(
        self,
        urls: WebhookUrls,
        keys: Keys,
        ref_of: RefBuilder,
        pushes: WebhookIntake,
        user_id: str | None = None,
    ) -> None:
        self._urls = urls
        self._keys = keys
        self._handle_of = ref_of
        self._pushes = pushes
        self._user_id = user_id

    async def take(self, attempt_id: str, mac: str, headers: Mapping[str, str], body: bytes) -> str:
        """Do what a webhook asks for; returns what became of it. Taking it again changes nothing.

        Raises:
            Refusal: 401 not Fal's, 400 not a webhook, 404 or 409 not of this attempt, 503 come again.
        """
        if not self._urls.made(attempt_id, mac):
            raise Refusal(401, "this URL was not given out by us")
        request_id = await self._verified(headers, body)
        if _request_id_in(body) != request_id:
            raise Refusal(400, "the body is of another request than the headers")
        pushed = await self._pushes.find(attempt_id)
        if pushed is None:
            raise Refusal(404, f"there is no attempt {attempt_id}")
        adoption = await self._pushes.adopt(pushed, self._handle_of(pushed.request, request_id))
        if adoption == "other":
            log.error("webhook_of_another_request", attempt_id=attempt_id, request_id=request_id)
            raise Refusal(409, f"attempt {attempt_id} is another request")
        if adoption == "too_early":
            raise Refusal(503, f"attempt {attempt_id} was not sent yet", headers=RETRY_AFTER)
        await self._pushes.poll_now(attempt_id)
        log.info("webhook_taken", attempt_id=attempt_id, request_id=request_id, adoption=adoption)
        return adoption

    async def _verified(self, headers: Mapping[str, str], body: bytes) -> str:
        try:
            request_id, user_id = await verify(headers, body, self._keys, time.time())
        except NotFals as unknown_id:
            raise Refusal(401, str(unknown_id)) from unknown_id
        except KeysUnavailable as away:
            log.warning("webhook_keys_unavailable", error=str(away))
            raise Refusal(503, "Fal's keys cannot be read; try again", headers=RETRY_AFTER) from away
        if self._user_id is not None and user_id != self._user_id:
            raise Refusal(401, "signed for another user of Fal")
        return request_id


def webhook_routes(urls: WebhookUrls, keys: Keys, ref_of: RefBuilder, user_id: str | None) -> AddRoutes:
    """What adds `POST /webhooks/fal` to a gateway's HTTP application."""

    def add_routes(app: FastAPI, pushes: WebhookIntake) -> None:
        taker = Webhooks(urls, keys, ref_of, pushes, user_id)
        install_problems(app)

        @app.post("/webhooks/fal", include_in_schema=False)
        async def webhook(request: Request) -> Response:
            attempt_id, mac = (request.query_params.get(name, "") for name in ("attempt", "mac"))
            try:
                body = await _body_of(request)
                result = await taker.take(attempt_id, mac, request.headers, body)
            except Refusal as refusal:
                webhooks.labels(f"refused_{refusal.status}").inc()
                log.warning("webhook_refused", status=refusal.status, detail=refusal.detail)
                raise
            webhooks.labels(result).inc()
            return Response(status_code=204)

    return add_routes


async def _body_of(request: Request) -> bytes:
    """The raw body, which is read no further than it may be long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Refusal(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _request_id_in(body: bytes) -> str:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    request_id = message.get("request_id") if isinstance(message, dict) else None
    if not isinstance(request_id, str):
        raise Refusal(400, "the body is no webhook of Fal's")
    return request_id
