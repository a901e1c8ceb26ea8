"""Fal's webhooks: verified, treated as hints, and able to resolve an unknown outcome."""

import asyncio
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from pymongo.errors import AutoReconnect

from services.gateways.fal.adapter import ref_of
from services.gateways.fal.settings import FalSettings, WebhookSettings
from services.gateways.fal.signatures import (
    RETRY_SECONDS,
)
from services.gateways.fal.webhooks import MAX_BODY_BYTES, WebhookUrls, webhook_routes
from services.gateways.runtime.ledger.intake import LedgerIntake
from services.gateways.runtime.lifecycle.attempt import ENDED, Attempt
from services.gateways.runtime.recovery.webhook_intake import WebhookIntake
from services.gateways.runtime.scheduling.engine import Engine
from shared.clock import now
from shared.errors import StartupError
from shared.ids import uuid7
from tests.fakes.fal import Fal
from tests.fakes.mongo import FakeCollection
from tests.fakes.provider import a_command, an_attempt_request
from tests.fakes.publisher import received
from tests.fakes.steps import as_step

SECRET = b"the-secret"
SETTINGS = FalSettings(key=SecretStr("k"))


class RecordingEngine(Engine):
    """An engine that records poll requests and has the attempts that a test gives."""

    def __init__(self) -> None:
        super().__init__(as_step(_no_step), slots=1)
        self.poll_requests: list[str] = []
        self.ours = True
        self.meanwhile: Callable[[], None] = lambda: None

    def __contains__(self, attempt_id: object) -> bool:
        return self.ours

    def poll_now(self, attempt_id: str) -> bool:
        if self.ours:
            self.poll_requests.append(attempt_id)
            self.meanwhile()
        return self.ours


async def _no_step(_: Attempt) -> float | None:
    raise AssertionError("nothing is stepped here")


class WebhookHarness:
    """The route, with a ledger in memory."""

    def __init__(self, user_id: str | None = None) -> None:
        self.fal = Fal()
        self.bell = RecordingEngine()
        self.attempts = FakeCollection()
        self.ledger = LedgerIntake(self.attempts.mongo)
        self.pushes = WebhookIntake(self.attempts.mongo, "fal", self.bell)
        self.urls = WebhookUrls("http://gateway", SECRET)
        app = FastAPI()
        webhook_routes(self.urls, self.fal.keys, partial(ref_of, SETTINGS), user_id)(app, self.pushes)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), verify=False)

    async def attempt(self, **fields: Any) -> str:
        """Return an attempt with an unknown outcome, unless fields change it."""
        command = a_command()
        await self.ledger.accept([received(command)], "owner")
        entry = self.attempts.kept[command.attempt_id]
        entry.update({"state": "unknown", "billed": "unknown"} | fields)
        if entry["state"] in ENDED:
            del entry["owner"]
        return command.attempt_id

    async def post(
        self, attempt_id: str, body: bytes | None = None, url: str = "", **signed: Any
    ) -> httpx.Response:
        body = json.dumps({"request_id": "r1", "status": "OK"}).encode() if body is None else body
        headers = self.fal.signed(body, **signed)
        return await self.http.post(url or self.urls.of(attempt_id), content=body, headers=headers)


@pytest.fixture
def door() -> WebhookHarness:
    return WebhookHarness()


async def test_a_webhook_before_the_answer_to_the_submission_brings_the_ref(door: WebhookHarness) -> None:
    attempt_id = await door.attempt(state="submitting")
    answer = await door.post(attempt_id)
    assert answer.status_code == 204
    entry = door.attempts.kept[attempt_id]
    assert (entry["state"], entry["external_id"], entry["billed"]) == ("submitted", "r1", "yes")
    base = "https://queue.fal.run/fal-ai/flux/requests/r1"
    assert entry["submission_ref"] == {
        "id": "r1",
        "status_url": f"{base}/status",
        "response_url": base,
        "cancel_url": f"{base}/cancel",
    }
    assert door.bell.poll_requests == [attempt_id]


async def test_a_replay_changes_nothing(door: WebhookHarness) -> None:
    attempt_id = await door.attempt()
    await door.post(attempt_id)
    before = dict(door.attempts.kept[attempt_id])
    assert (await door.post(attempt_id)).status_code == 204
    assert door.attempts.kept[attempt_id] == before


async def test_another_request_than_the_ledgers_is_refused(door: WebhookHarness) -> None:
    attempt_id = await door.attempt(state="submitted", external_id="r0", submission_ref={"id": "r0"})
    answer = await door.post(attempt_id)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert door.attempts.kept[attempt_id]["external_id"] == "r0"
    assert door.bell.poll_requests == []


@pytest.mark.parametrize("state", ["unknown", "failed"])
async def test_one_of_two_concurrent_requests_is_adopted(door: WebhookHarness, state: str) -> None:
    attempt_id = await door.attempt(state=state)
    posts = [
        door.post(attempt_id, json.dumps({"request_id": name}).encode(), request_id=name)
        for name in ("r1", "r2")
    ]
    answers = await asyncio.gather(*posts)
    assert sorted(answer.status_code for answer in answers) == [204, 409]


async def test_a_request_of_an_attempt_that_was_given_up_is_entered_and_the_end_stays(
    door: WebhookHarness,
) -> None:
    attempt_id = await door.attempt(state="failed")
    assert (await door.post(attempt_id)).status_code == 204
    entry = door.attempts.kept[attempt_id]
    assert (entry["state"], entry["external_id"], entry["billed"]) == ("failed", "r1", "yes")
    assert entry["next_check_at"] <= now(), "what came of it is asked now"


async def test_a_webhook_for_an_unsent_attempt_is_too_early(door: WebhookHarness) -> None:
    attempt_id = await door.attempt(state="accepted")
    assert (await door.post(attempt_id)).status_code == 503
    assert "external_id" not in door.attempts.kept[attempt_id]


async def test_an_attempt_that_does_not_exist_is_not_found(door: WebhookHarness) -> None:
    assert (await door.post("no/0/1")).status_code == 404
    await door.attempts.insert_one({"_id": "cancelled/0/1", "provider": "fal", "state": "cancelled"})
    assert (await door.post("cancelled/0/1")).status_code == 404


@pytest.mark.parametrize("query", ["", "attempt={id}", "attempt={id}&mac={other}", "attempt={id}&mac=é"])
async def test_a_url_that_we_did_not_give_out_is_refused_before_any_key_is_read(
    door: WebhookHarness, query: str
) -> None:
    attempt_id = await door.attempt()
    other = hmac.new(b"another secret", attempt_id.encode(), "sha256").hexdigest()
    url = f"http://gateway/webhooks/fal?{query.format(id=attempt_id, other=other)}"
    assert (await door.post(attempt_id, url=url)).status_code == 401
    assert door.fal.asked == 0


async def test_the_mac_of_one_attempt_is_none_for_another(door: WebhookHarness) -> None:
    mine, other = await door.attempt(), await door.attempt()
    url = door.urls.of(mine).replace(mine.replace("/", "%2F"), other.replace("/", "%2F"))
    assert other.split("/")[0] in url
    assert (await door.post(mine, url=url)).status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"request_id": 7}', 400),
        (b'{"request_id": "r2"}', 400),
        (b"[" * 100_000, 400),
        (b'{"request_id": "r1"}' + b" " * MAX_BODY_BYTES, 413),
    ],
)
async def test_a_body_that_is_no_webhook_is_refused(door: WebhookHarness, body: bytes, status: int) -> None:
    attempt_id = await door.attempt()
    assert (await door.post(attempt_id, body)).status_code == status
    assert "external_id" not in door.attempts.kept[attempt_id]


async def test_a_bad_signature_is_refused_and_keys_that_are_away_ask_fal_to_come_again(
    door: WebhookHarness,
) -> None:
    attempt_id = await door.attempt()
    door.fal.away = True
    answer = await door.post(attempt_id)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    door.fal.away = False
    door.fal.time += RETRY_SECONDS
    door.fal.rotate()
    assert (await door.post(attempt_id)).status_code == 401
    assert "external_id" not in door.attempts.kept[attempt_id]


async def test_webhooks_for_another_user_are_rejected_if_ours_is_known() -> None:
    door = WebhookHarness(user_id="us")
    attempt_id = await door.attempt()
    assert (await door.post(attempt_id, user="them")).status_code == 401
    assert (await door.post(attempt_id, user="us")).status_code == 204


async def test_an_attempt_of_another_process_is_marked_and_its_owner_notices_once(
    door: WebhookHarness,
) -> None:
    attempt_id = await door.attempt()
    door.bell.ours = False
    await door.post(attempt_id)
    assert "next_check_at" in door.attempts.kept[attempt_id]
    door.bell.ours = True
    await door.pushes.collect("somebody else")
    assert door.bell.poll_requests == []
    await door.pushes.collect("owner")
    await door.pushes.collect("owner")
    assert door.bell.poll_requests == [attempt_id]


async def test_an_attempt_that_its_owner_does_not_have_yet_stays_marked(door: WebhookHarness) -> None:
    attempt_id = await door.attempt()
    door.bell.ours = False
    await door.post(attempt_id)
    await door.pushes.collect("owner")
    assert "next_check_at" in door.attempts.kept[attempt_id]
    door.bell.ours = True
    await door.pushes.collect("owner")
    assert door.bell.poll_requests == [attempt_id]


async def test_an_attempt_that_is_marked_again_meanwhile_stays_marked(door: WebhookHarness) -> None:
    attempt_id = await door.attempt()
    door.bell.ours = False
    await door.post(attempt_id)
    door.bell.ours = True
    later = now() + timedelta(seconds=1)
    door.bell.meanwhile = lambda: door.attempts.kept[attempt_id].update(cancel=True, next_check_at=later)
    await door.pushes.collect("owner")
    assert door.attempts.kept[attempt_id]["next_check_at"] == later


async def test_a_mark_is_acted_on_although_its_removal_fails(door: WebhookHarness) -> None:
    attempt_id = await door.attempt()
    door.bell.ours = False
    await door.post(attempt_id)
    door.bell.ours = True
    door.attempts.failures = [AutoReconnect("away")]
    with pytest.raises(AutoReconnect):
        await door.pushes.collect("owner")
    assert door.bell.poll_requests == [attempt_id]


async def test_an_attempt_that_has_ended_is_not_marked(door: WebhookHarness) -> None:
    attempt_id = await door.attempt(state="succeeded", external_id="r1", billed="yes")
    door.bell.ours = False
    assert (await door.post(attempt_id)).status_code == 204
    assert "next_check_at" not in door.attempts.kept[attempt_id]


async def test_an_uncertain_end_is_checked_when_its_webhook_arrives(door: WebhookHarness) -> None:
    attempt_id = await door.attempt(state="cancelled", external_id="r1")
    door.bell.ours = False
    assert (await door.post(attempt_id)).status_code == 204
    entry = door.attempts.kept[attempt_id]
    assert (entry["next_check_at"] <= now(), entry["state"], entry["billed"]) == (
        True,
        "cancelled",
        "unknown",
    )


def test_the_rebuilt_ref_names_the_requested_model() -> None:
    lora = {"key": "loras/mia.safetensors", "trigger_word": "mia7", "scale": 0.8}
    for request, app in [
        (an_attempt_request(), "fal-ai/flux"),
        (an_attempt_request(lora=lora), "fal-ai/flux-lora"),
        (an_attempt_request(face=f"{uuid7()}/0"), "fal-ai/flux-pulid"),
        (an_attempt_request(model="fal-ai/recraft/v3/text-to-image"), "fal-ai/recraft"),
        (an_attempt_request(model="workflows/us/portrait"), "workflows/us/portrait"),
    ]:
        assert ref_of(SETTINGS, request, "r1")["response_url"] == f"https://queue.fal.run/{app}/requests/r1"
    assert ref_of(SETTINGS, an_attempt_request(), "../x")["response_url"].endswith("/requests/..%2Fx")


def test_a_webhook_url_needs_a_secret() -> None:
    with pytest.raises(StartupError, match="GATEWAY_WEBHOOK_SECRET"):
        WebhookSettings(secret=None).required()
