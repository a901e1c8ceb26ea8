"""Signatures of Fal: its recorded webhook, and webhooks signed with generated keys."""

import json
import time
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import tests.contract
from services.gateways.fal.signatures import (
    Keys,
    verify,
)

VECTOR = json.loads(
    (Path(tests.contract.__file__).parent / "samples" / "fal" / "webhook_vector.json").read_text()
)


SENT_AT = int(VECTOR["headers"]["X-Fal-Webhook-Timestamp"])


class Fal:
    """Signs as Fal does and publishes its keys; it may be unreachable."""

    def __init__(self) -> None:
        self.rotate()
        self.published = self.jwks
        self.asked = 0
        self.away = False
        self.time = 1000.0
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer), verify=False)
        self.keys = Keys(self.http, "https://rest.fal.ai/", lambda: self.time)

    def rotate(self) -> None:
        self._key = Ed25519PrivateKey.generate()

    @property
    def jwks(self) -> dict[str, Any]:
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        x = urlsafe_b64encode(raw).rstrip(b"=").decode()
        return {"keys": [{"kty": "RSA", "n": "1"}, {"kty": "OKP", "crv": "Ed25519", "x": x}]}

    def signed(
        self, body: bytes, request_id: str = "r1", at: float | None = None, user: str = "u1"
    ) -> dict[str, str]:
        timestamp = str(int(time.time() if at is None else at))
        message = "\n".join((request_id, user, timestamp, sha256(body).hexdigest()))
        return {
            "X-Fal-Webhook-Request-Id": request_id,
            "X-Fal-Webhook-User-Id": user,
            "X-Fal-Webhook-Timestamp": timestamp,
            "X-Fal-Webhook-Signature": self._key.sign(message.encode()).hex(),
        }

    async def verify(self, **changed: str) -> tuple[str, str]:
        headers = {**self.signed(b"{}", at=SENT_AT), **changed}
        lower = {name.lower(): value for name, value in headers.items()}
        return await verify(lower, b"{}", self.keys, SENT_AT)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "https://rest.fal.ai/.well-known/jwks.json"
        self.asked += 1
        return httpx.Response(502) if self.away else httpx.Response(200, json=self.published)
