"""Signatures of Fal's webhooks: Ed25519 over id, user, time and the body's hash, by Fal's published keys."""

import asyncio
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from hashlib import sha256

import httpx
import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.gateways.kit.provider import StatusUnavailable
from services.gateways.kit.wire import ask, excerpt, json_of
from shared.errors import TransientError
from shared.url_credentials import redacted

log = structlog.get_logger()

KEYS_SECONDS = 24 * 3600.0
REFETCH_SECONDS = 60.0
"""Minimum seconds between requests for keys when none fits: anybody can send a bad signature."""
RETRY_SECONDS = 1.0
"""Minimum seconds between requests for keys after one failed."""
MAX_KEYS = 32
SKEW_SECONDS = 300
SIGNED = ("request-id", "user-id", "timestamp", "signature")
TIMESTAMP = re.compile(r"[0-9]{1,12}")
SIGNATURE = re.compile(r"[0-9a-fA-F]{128}")


class NotFromFal(Exception):
    """The webhook does not come from Fal, or is too old."""


class KeysUnavailable(TransientError):
    """The signature cannot be checked now: Fal's keys cannot be read."""


class Keys:
    """Fal's public keys, read again once a day, and when none of them fits."""

    def __init__(
        self, http: httpx.AsyncClient, rest_url: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._http = http
        self._url = f"{rest_url.rstrip('/')}/.well-known/jwks.json"
        self._clock = clock
        self._keys: tuple[Ed25519PublicKey, ...] = ()
        self._read_at: float | None = None
        self._asked_at: float | None = None
        self._reading = asyncio.Lock()

    async def verify(self, signature: bytes, message: bytes) -> None:
        """Check that one of the keys made this signature.

        Raises:
            NotFromFal: no key did.
            KeysUnavailable: the keys cannot be read now.
        """
        if self._read_at is None or self._clock() > self._read_at + KEYS_SECONDS:
            await self._read(RETRY_SECONDS)
        if _made_by_one_of(self._keys, signature, message):
            return
        await self._read(REFETCH_SECONDS)
        if not _made_by_one_of(self._keys, signature, message):
            raise NotFromFal("the signature is of none of Fal's keys")

    async def _read(self, min_interval: float) -> None:
        """Read the keys, unless they were read less than `min_interval` seconds ago."""
        async with self._reading:
            if self._asked_at is not None and self._clock() < self._asked_at + min_interval:
                if self._read_at is None or self._read_at < self._asked_at:
                    raise KeysUnavailable(f"{redacted(self._url)} did not answer a moment ago")
                return
            self._asked_at = self._clock()
            try:
                answer = await ask(self._http, "GET", self._url)
                body = json_of(answer)
            except StatusUnavailable as silence:
                raise KeysUnavailable(str(silence)) from silence
            keys = _keys_in(body)
            if answer.status_code != 200 or not keys:
                raise KeysUnavailable(
                    f"{redacted(self._url)}: {answer.status_code}, no keys: {excerpt(answer)}"
                )
            self._keys, self._read_at = keys, self._asked_at
            log.info("webhook_keys_read", keys=len(keys))


async def verify(headers: Mapping[str, str], body: bytes, keys: Keys, at: float) -> tuple[str, str]:
    """Return the request id and the user id of a webhook that Fal signed.

    Args:
        headers: case-insensitive, as Starlette's.
        body: the raw bytes.
        at: now, in seconds since 1970.

    Raises:
        NotFromFal, KeysUnavailable: see there.
    """
    request_id, user_id, timestamp, signature = (headers.get(f"x-fal-webhook-{name}", "") for name in SIGNED)
    if not (request_id and user_id and timestamp and signature):
        raise NotFromFal("one of the four X-Fal-Webhook headers is missing")
    if not TIMESTAMP.fullmatch(timestamp) or abs(at - int(timestamp)) > SKEW_SECONDS:
        raise NotFromFal(f"its time is more than {SKEW_SECONDS} s from now")
    if not SIGNATURE.fullmatch(signature):
        raise NotFromFal("the signature is not 64 bytes in hex")
    message = "\n".join((request_id, user_id, timestamp, sha256(body).hexdigest()))
    await keys.verify(bytes.fromhex(signature), message.encode())
    return request_id, user_id


def _keys_in(jwks: Mapping[str, object]) -> tuple[Ed25519PublicKey, ...]:
    """Return the usable keys of a key set; other types are ignored."""
    listed = jwks.get("keys")
    found = []
    for key in listed[:MAX_KEYS] if isinstance(listed, list) else ():
        if not isinstance(key, dict) or (key.get("kty"), key.get("crv")) != ("OKP", "Ed25519"):
            continue
        try:
            text = str(key.get("x")).rstrip("=")
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            found.append(Ed25519PublicKey.from_public_bytes(raw))
        except ValueError:
            continue
    return tuple(found)


def _made_by_one_of(keys: tuple[Ed25519PublicKey, ...], signature: bytes, message: bytes) -> bool:
    for key in keys:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            continue
        return True
    return False
