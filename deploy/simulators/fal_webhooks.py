"""Webhooks of fal: a signed POST to the caller's URL, retried until it is accepted."""

import asyncio
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from secrets import token_bytes
from typing import Any, Final

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from deploy.simulators.behaviour import FaultInjector
from deploy.simulators.fal_jobs import FalJob
from deploy.simulators.fetching import is_local

USER_ID: Final = "simulated-user"
PAUSES: Final = (0.1, 0.3, 1.0, 3.0, 10.0)
NO_PAYLOAD: Final = {"payload": None, "payload_error": "Response payload is not JSON serializable"}


class WebhookSigner:
    """Signs as fal does: Ed25519 over id, user, time and the hash of the raw body."""

    def __init__(self, seed: str | None = None) -> None:
        secret = sha256(seed.encode()).digest() if seed else token_bytes(32)
        self._key = Ed25519PrivateKey.from_private_bytes(secret)

    def jwks(self) -> dict[str, Any]:
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        x = _base64url(raw)
        return {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]}

    def headers(self, request_id: str, body: bytes, *, corrupted: bool = False) -> dict[str, str]:
        timestamp = str(int(time.time()))
        message = "\n".join((request_id, USER_ID, timestamp, sha256(body).hexdigest()))
        signature = self._key.sign(message.encode())
        if corrupted:
            signature = bytes(64)
        return {
            "Content-Type": "application/json",
            "X-Fal-Webhook-Request-Id": request_id,
            "X-Fal-Webhook-User-Id": USER_ID,
            "X-Fal-Webhook-Timestamp": timestamp,
            "X-Fal-Webhook-Signature": signature.hex(),
        }


class Webhooks:
    def __init__(
        self,
        signer: WebhookSigner,
        injector: FaultInjector,
        client: httpx.AsyncClient,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._signer = signer
        self._injector = injector
        self._client = client
        self._pauses = pauses
        self._tasks: set[asyncio.Task[None]] = set()
        self.deliveries: list[dict[str, Any]] = []
        """Every delivery try, for tests: request, URL, and the status or the error."""

    def schedule(self, job: FalJob) -> None:
        """Start the delivery for a job. Only loopback URLs are called: a simulator never calls out."""
        if job.webhook is None or not is_local(job.webhook):
            return
        if self._injector.happens(self._injector.behaviour.webhook_lost_rate):
            return
        task = asyncio.get_running_loop().create_task(self._deliver(job, job.webhook))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _deliver(self, job: FalJob, url: str) -> None:
        behaviour = self._injector.behaviour
        await asyncio.sleep(behaviour.webhook_delay_seconds)
        body = json.dumps(_message(job) | (NO_PAYLOAD if behaviour.webhook_without_payload else {})).encode()
        for _ in range(1 + behaviour.webhook_duplicates):
            for pause in (*self._pauses, None):
                if await self._post(job.id, url, body) or pause is None:
                    break
                await asyncio.sleep(pause)

    async def _post(self, request_id: str, url: str, body: bytes) -> bool:
        """Return True if no further try is needed; a redirect is a permanent failure at fal."""
        corrupted = self._injector.behaviour.webhook_bad_signature
        headers = self._signer.headers(request_id, body, corrupted=corrupted)
        try:
            answer = await self._client.post(url, content=body, headers=headers)
        except httpx.HTTPError as error:
            self._record(request_id, url, type(error).__name__)
            return False
        self._record(request_id, url, answer.status_code)
        return answer.is_success or answer.is_redirect

    def _record(self, request_id: str, url: str, result: int | str) -> None:
        self.deliveries.append({"request_id": request_id, "url": url, "result": result})


def _message(job: FalJob) -> dict[str, Any]:
    answer = job.answer
    if answer is None:
        raise RuntimeError(f"request {job.id} has not ended")
    message = {"request_id": job.id, "gateway_request_id": job.id, "payload": answer.body}
    if answer.is_error:
        return message | {"status": "ERROR", "error": f"Invalid status code: {answer.status}"}
    return message | {"status": "OK"}


def _base64url(raw: bytes) -> str:
    """Encode without padding, as in fal's JWKS."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
