"""POST /webhooks/fal: Fal reports that a request has ended, and its attempt is polled now.

A webhook is a hint: the outcome is polled. But it also brings the id of a request whose submission
was never answered, for which Fal has no lookup.
"""

import hmac
import json
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

import structlog
from fastapi import FastAPI, Request, Response
from prometheus_client import Counter

from services.gateways.fal.signatures import Keys, KeysUnavailable, NotFromFal, verify
from services.gateways.kit.provider import AttemptRequest, SubmissionRef
from services.gateways.runtime.recovery.webhook_intake import AddRoutes, WebhookIntake
from shared.http.problems import Refusal, install_problems

log = structlog.get_logger()

MAX_BODY_BYTES = 1024 * 1024
RETRY_AFTER = {"Retry-After": "5"}

webhooks = Counter("imagegen_fal_webhooks_total", "Webhooks from Fal, by result", ["result"])

RefBuilder = Callable[[AttemptRequest, str], SubmissionRef]
"""Rebuilds a submission ref from the request and Fal's request id."""


class WebhookUrls:
    """Makes and recognizes the URL that Fal calls for an attempt."""

    def __init__(self, base_url: str, secret: bytes) -> None:
        self._base_url = base_url.rstrip("/")
        self._secret = secret

    def of(self, attempt_id: str) -> str:
        """Return the URL of an attempt; it has a MAC because Fal's signature does not cover our URL."""
        return f"{self._base_url}/webhooks/fal?" + urlencode(
            {"attempt": attempt_id, "mac": self._mac(attempt_id)}
        )

    def made(self, attempt_id: str, mac: str) -> bool:
        """Return whether this URL was made here."""
        return hmac.compare_digest(self._mac(attempt_id).encode(), mac.encode())

    def _mac(self, attempt_id: str) -> str:
        return hmac.new(self._secret, attempt_id.encode(), "sha256").hexdigest()


class Webhooks:
    """Verifies a webhook and has the attempt's owner poll. Any process of the gateway may receive it."""

    def __init__(
        self,
        urls: WebhookUrls,
        keys: Keys,
        ref_of: RefBuilder,
        intake: WebhookIntake,
        user_id: str | None = None,
    ) -> None:
        self._urls = urls
        self._keys = keys
        self._ref_of = ref_of
        self._intake = intake
        self._user_id = user_id

    async def process(self, attempt_id: str, mac: str, headers: Mapping[str, str], body: bytes) -> str:
        """Process a webhook and return its result. A repeated webhook changes nothing.

        Raises:
            Refusal: 401 not Fal's, 400 not a webhook, 404 or 409 not of this attempt, 503 retry.
        """
        if not self._urls.made(attempt_id, mac):
            raise Refusal(401, "webhook URL was not issued by this gateway")
        request_id = await self._verified(headers, body)
        if _request_id_in(body) != request_id:
            raise Refusal(400, "request_id in the body differs from the header")
        target = await self._intake.find(attempt_id)
        if target is None:
            raise Refusal(404, f"no attempt {attempt_id}")
        adoption = await self._intake.adopt(target, self._ref_of(target.request, request_id))
        if adoption == "other":
            log.error("webhook_for_another_request", attempt_id=attempt_id, request_id=request_id)
            raise Refusal(409, f"attempt {attempt_id} belongs to another request of Fal's")
        if adoption == "too_early":
            raise Refusal(
                503, f"attempt {attempt_id} was not submitted yet; retry later", headers=RETRY_AFTER
            )
        await self._intake.poll_now(attempt_id)
        log.info("fal_webhook_accepted", attempt_id=attempt_id, request_id=request_id, adoption=adoption)
        return adoption

    async def _verified(self, headers: Mapping[str, str], body: bytes) -> str:
        try:
            request_id, user_id = await verify(headers, body, self._keys, time.time())
        except NotFromFal as error:
            raise Refusal(401, str(error)) from error
        except KeysUnavailable as away:
            log.warning("webhook_keys_unavailable", error=str(away))
            raise Refusal(503, "Fal's public keys cannot be read; retry later", headers=RETRY_AFTER) from away
        if self._user_id is not None and user_id != self._user_id:
            raise Refusal(401, "webhook is signed for another user of Fal")
        return request_id


def webhook_routes(urls: WebhookUrls, keys: Keys, ref_of: RefBuilder, user_id: str | None) -> AddRoutes:
    """Return a function that adds `POST /webhooks/fal` to a gateway's HTTP application."""

    def add_routes(app: FastAPI, intake: WebhookIntake) -> None:
        handler = Webhooks(urls, keys, ref_of, intake, user_id)
        install_problems(app)

        @app.post("/webhooks/fal", include_in_schema=False)
        async def webhook(request: Request) -> Response:
            attempt_id, mac = (request.query_params.get(name, "") for name in ("attempt", "mac"))
            try:
                body = await _body_of(request)
                result = await handler.process(attempt_id, mac, request.headers, body)
            except Refusal as refusal:
                webhooks.labels(f"rejected_{refusal.status}").inc()
                log.warning("fal_webhook_rejected", status=refusal.status, detail=refusal.detail)
                raise
            webhooks.labels(result).inc()
            return Response(status_code=204)

    return add_routes


async def _body_of(request: Request) -> bytes:
    """Return the raw body, and stop reading at the limit."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Refusal(413, f"body exceeds {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _request_id_in(body: bytes) -> str:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    request_id = message.get("request_id") if isinstance(message, dict) else None
    if not isinstance(request_id, str):
        raise Refusal(400, "body is not a webhook of Fal's: request_id is missing")
    return request_id
