"""Upload of bytes to Fal's CDN, for a URL that Fal's models can read: a token, then one upload."""

import json
from urllib.parse import urlsplit

import httpx

from services.gateways.fal.settings import FalSettings
from services.gateways.kit.provider import NotAccepted, StatusUnavailable
from services.gateways.kit.wire import ask, excerpt, json_of

LOOPBACK = ("127.0.0.1", "::1", "localhost")
KEEP_SECONDS = 24 * 3600
"""Lifetime of uploads, as short as a training allows: anybody with the URL can read them."""


class FalStorage:
    """Uploads files. Our key is sent only to `rest_url`, the token only to Fal's media hosts."""

    def __init__(self, http: httpx.AsyncClient, settings: FalSettings) -> None:
        self._http = http
        self._url, self._authorization = settings.rest
        self._hosts = settings.hosts

    async def upload(self, name: str, data: bytes, content_type: str) -> str:
        """Upload bytes and return their URL.

        Raises:
            NotAccepted: the upload fails now.
        """
        try:
            base, authorization = await self._token()
            return await self._send(base, authorization, name, data, content_type)
        except StatusUnavailable as silence:
            raise NotAccepted("provider_unreachable", f"upload: {silence}") from silence

    async def _token(self) -> tuple[str, str]:
        answer = await ask(
            self._http,
            "POST",
            f"{self._url}/storage/auth/token",
            params={"storage_type": "fal-cdn-v3"},
            headers={"Authorization": self._authorization},
            json={},
        )
        body = json_of(answer)
        token, base = body.get("token"), body.get("base_url")
        if answer.status_code != 200 or not isinstance(token, str) or not self._is_fals(base):
            raise NotAccepted(
                "provider_busy", f"no upload token: {answer.status_code} for {str(base)[:200]!r}"
            )
        return str(base).rstrip("/"), f"{body.get('token_type') or 'Bearer'} {token}"

    async def _send(self, base: str, authorization: str, name: str, data: bytes, content_type: str) -> str:
        answer = await ask(
            self._http,
            "POST",
            f"{base}/files/upload",
            headers={
                "Authorization": authorization,
                "Content-Type": content_type,
                "X-Fal-File-Name": name,
                "X-Fal-Object-Lifecycle": json.dumps({"expiration_duration_seconds": KEEP_SECONDS}),
            },
            content=data,
        )
        if answer.status_code != 200:
            raise NotAccepted("provider_busy", f"upload: {answer.status_code} {excerpt(answer)}")
        url = json_of(answer).get("access_url")
        if not self._is_fals(url):
            raise NotAccepted("provider_busy", f"uploaded to {str(url)[:200]!r}, which is no host of Fal's")
        return str(url)

    def _is_fals(self, url: object) -> bool:
        """Return whether a URL is on one of Fal's hosts, without credentials, with TLS unless it is local."""
        if not isinstance(url, str):
            return False
        try:
            parts = urlsplit(url)
            local = parts.scheme == "http" and parts.hostname in LOOPBACK
        except ValueError:
            return False
        return parts.netloc in self._hosts and (local or parts.scheme == "https")
