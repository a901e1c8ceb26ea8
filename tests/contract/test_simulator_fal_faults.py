"""Webhooks and faults of the simulated fal."""

import asyncio
import base64
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.simulators.serving import running
from tests.contract.fal_simulated import ARGUMENTS, DEV, SAMPLES, ended, simulator


def verify(headers: Mapping[str, str], body: bytes, jwks: dict[str, Any]) -> None:
    """Verify a webhook as a receiver does, except for its time. Raise InvalidSignature if it is not valid."""
    names = ("request-id", "user-id", "timestamp")
    parts = [headers[f"x-fal-webhook-{name}"] for name in names]
    message = "\n".join([*parts, sha256(body).hexdigest()]).encode()
    signature = bytes.fromhex(headers["x-fal-webhook-signature"])
    for key in jwks["keys"]:
        raw = base64.urlsafe_b64decode(key["x"] + "=" * (-len(key["x"]) % 4))
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)


def test_the_recorded_webhook_verifies() -> None:
    vector = json.loads((SAMPLES / "webhook_vector.json").read_text())
    headers = {name.lower(): value for name, value in vector["headers"].items()}
    verify(headers, vector["body"].encode(), vector["jwks"])
    with pytest.raises(InvalidSignature):
        verify(headers, vector["body"].encode() + b" ", vector["jwks"])


class Receiver:
    """Receives webhooks, after rejecting the first few."""

    def __init__(self, refuse: int = 0) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        self._refuse = refuse
        self.app = Starlette(routes=[Route("/hook", self._receive, methods=["POST"])])

    async def _receive(self, request: Request) -> Response:
        if self._refuse:
            self._refuse -= 1
            return Response(status_code=503)
        self.received.append((dict(request.headers), await request.body()))
        return Response()

    async def wait(self, count: int) -> None:
        async with asyncio.timeout(5):
            while True:
                if len(self.received) >= count:
                    return
                await asyncio.sleep(0.01)


async def test_webhooks_are_signed_duplicated_and_retried() -> None:
    receiver = Receiver(refuse=1)
    async with running(receiver.app) as hook, simulator(webhook_duplicates=1) as client:
        params = {"fal_webhook": f"{hook}/hook?attempt=a-1&mac=x"}
        urls = (await client.post(DEV, json=ARGUMENTS, params=params)).json()
        await receiver.wait(2)
        jwks = (await client.get("/.well-known/jwks.json")).json()
        for headers, body in receiver.received:
            verify(headers, body, jwks)
            message = json.loads(body)
            assert message["request_id"] == headers["x-fal-webhook-request-id"]
            assert message["request_id"] == urls["request_id"]
            assert (message["status"], message["payload"]["seed"]) == ("OK", 5)
        [submission] = (await client.get("/_sim/submissions")).json()
        assert (submission["our_id"], submission["id"]) == ("a-1", urls["request_id"])


async def test_a_failed_request_has_a_webhook_and_its_signature_can_be_invalid() -> None:
    receiver = Receiver()
    async with running(receiver.app) as hook, simulator(webhook_bad_signature=True) as client:
        params = {"fal_webhook": f"{hook}/hook"}
        await client.post(DEV, json={"prompt": "[fail]"}, params=params)
        await receiver.wait(1)
        [(headers, body)] = receiver.received
        assert json.loads(body)["error"] == "Invalid status code: 422"
        with pytest.raises(InvalidSignature):
            verify(headers, body, (await client.get("/.well-known/jwks.json")).json())


async def test_every_one_shot_fault_affects_one_submit() -> None:
    async with simulator() as client:
        rejected = {"422": 422, "429": 429, "500": 500, "503": 503, "accepted_500": 500}
        corrupted = ["malformed_json", "truncated", "lose_answer"]
        await client.post("/_sim/behaviour", json={"next_faults": [*rejected, *corrupted, "oom"]})
        for fault, status in rejected.items():
            assert (await client.post(DEV, json=ARGUMENTS)).status_code == status, fault
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            (await client.post(DEV, json=ARGUMENTS)).json()
        for _ in ("truncated", "lose_answer"):
            with pytest.raises(httpx.RemoteProtocolError):
                await client.post(DEV, json=ARGUMENTS)
        assert (await ended(client, DEV, ARGUMENTS)).status_code == 500
        assert (await ended(client, DEV, ARGUMENTS)).status_code == 200
        assert (await client.get("/_sim/summary")).json()["total"] == 6


async def test_a_hanging_submit_times_out_and_is_accepted() -> None:
    async with simulator(lose_answer_rate=1, lose_answer_mode="hang") as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(DEV, json=ARGUMENTS, timeout=0.2)
        assert len((await client.get("/_sim/submissions")).json()) == 1


async def test_an_invalid_setting_is_rejected_by_name() -> None:
    async with simulator() as client:
        answer = await client.post("/_sim/behaviour", json={"fail_rate": 3, "typo": 1})
        assert answer.status_code == 422
        assert {item["loc"][0] for item in answer.json()["detail"]} == {"fail_rate", "typo"}
        assert (await client.get("/_sim/behaviour")).json()["fail_rate"] == 0
        assert (await client.get("/_sim/health")).status_code == 204


async def test_the_same_seed_repeats_the_same_faults() -> None:
    async with simulator() as client:
        runs = []
        for _ in range(2):
            await client.post("/_sim/behaviour", json={"error_500_rate": 0.5, "seed": 11})
            codes = [(await client.post(DEV, json=ARGUMENTS)).status_code for _ in range(12)]
            runs.append(codes)
        assert runs[0] == runs[1]
        assert set(runs[0]) == {200, 500}


async def test_a_restart_loses_every_request() -> None:
    async with simulator(latency_seconds=5) as client:
        urls = (await client.post(DEV, json=ARGUMENTS)).json()
        assert (await client.post("/_sim/forget")).status_code == 204
        assert (await client.get(urls["status_url"])).status_code == 404
        assert (await client.get("/_sim/submissions")).json()[0]["state"] == "lost"
