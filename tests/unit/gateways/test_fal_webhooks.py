"""Fal's webhooks: only Fal's word is taken, it is taken as a hint, and it settles what was not answered."""

import asyncio
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI
from pydantic import SecretStr

import tests.contract
from contracts.renders import RenderFailed, RenderRequested, RenderSucceeded
from deploy.local.simulators.serving import running
from services.gateways.fal.adapter import FalProvider, handle_of
from services.gateways.fal.settings import FalSettings, WebhookSettings
from services.gateways.fal.signatures import (
    KEYS_SECONDS,
    REFETCH_SECONDS,
    RETRY_SECONDS,
    SKEW_SECONDS,
    Keys,
    KeysUnavailable,
    NotFals,
    verify,
)
from services.gateways.fal.webhooks import MAX_BODY_BYTES, WebhookUrls, webhook_routes
from services.gateways.runtime.app import Process
from services.gateways.runtime.attempt import Attempt
from services.gateways.runtime.engine import Engine
from services.gateways.runtime.ledger import Ledger
from services.gateways.runtime.provider import Pace
from services.gateways.runtime.pushes import Pushes
from shared.clock import now
from shared.errors import StartupError
from shared.ids import uuid7
from shared.mongo import Database
from tests.fakes.adapters import Rig, a_rig, quick_client
from tests.fakes.mongo import FakeCollection
from tests.fakes.provider import a_command, an_order
from tests.fakes.publisher import FakePublisher, received
from tests.fakes.service import FakeService
from tests.fakes.waiting import until

VECTOR = json.loads(
    (Path(tests.contract.__file__).parent / "samples" / "fal" / "webhook_vector.json").read_text()
)
SENT_AT = int(VECTOR["headers"]["X-Fal-Webhook-Timestamp"])
SECRET = b"the-secret"
SETTINGS = FalSettings(key=SecretStr("k"))
RARELY = Pace(slots=50, first_poll=60.0, slowest_poll=60.0, submit_timeout=5.0)
"""So that whatever happens soon was not polled for."""
NEVER_SETTLED = Pace(slots=50, first_poll=0.01, grace=60.0, submit_timeout=5.0)
"""What was not answered is not looked at again by itself."""


class Fal:
    """Signs as Fal does, publishes its keys, and may be away."""

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


class Bell(Engine):
    """An engine that notes who is hurried, and holds what a test says."""

    def __init__(self) -> None:
        super().__init__(_no_step, slots=1)
        self.rung: list[str] = []
        self.ours = True

    def hurry(self, attempt_id: str) -> bool:
        if self.ours:
            self.rung.append(attempt_id)
        return self.ours


async def _no_step(_: Attempt) -> float | None:
    raise AssertionError("nothing is stepped here")


class Desk:
    """The route, with a ledger in memory."""

    def __init__(self, user_id: str | None = None) -> None:
        self.fal = Fal()
        self.bell = Bell()
        self.attempts = FakeCollection()
        self.ledger = Ledger(self.attempts.mongo)
        self.pushes = Pushes(self.attempts.mongo, "fal", self.bell)
        self.urls = WebhookUrls("http://gateway", SECRET)
        app = FastAPI()
        webhook_routes(self.urls, self.fal.keys, partial(handle_of, SETTINGS), user_id)(app, self.pushes)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), verify=False)

    async def attempt(self, **fields: Any) -> str:
        """One that was sent and not answered, unless the fields say otherwise."""
        command = a_command()
        await self.ledger.take_in([received(command)], "owner")
        self.attempts.kept[command.attempt_id].update({"state": "unknown", "billed": "unknown"} | fields)
        return command.attempt_id

    async def post(
        self, attempt_id: str, body: bytes | None = None, url: str = "", **signed: Any
    ) -> httpx.Response:
        body = json.dumps({"request_id": "r1", "status": "OK"}).encode() if body is None else body
        headers = self.fal.signed(body, **signed)
        return await self.http.post(url or self.urls.of(attempt_id), content=body, headers=headers)


@pytest.fixture
def fal() -> Fal:
    return Fal()


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_the_recorded_webhook_is_fals() -> None:
    fal = Fal()
    fal.published = VECTOR["jwks"]
    headers, body = httpx.Headers(VECTOR["headers"]), VECTOR["body"].encode()
    assert await verify(headers, body, fal.keys, SENT_AT) == ("RID", "user-1")
    with pytest.raises(NotFals):
        await verify(headers, body + b" ", fal.keys, SENT_AT)


@pytest.mark.parametrize("late", [SKEW_SECONDS + 1, -SKEW_SECONDS - 1])
async def test_a_webhook_of_another_time_is_refused_although_its_signature_holds(fal: Fal, late: int) -> None:
    headers = httpx.Headers(fal.signed(b"{}", at=SENT_AT))
    await verify(headers, b"{}", fal.keys, SENT_AT + (SKEW_SECONDS if late > 0 else -SKEW_SECONDS))
    with pytest.raises(NotFals, match="time"):
        await verify(headers, b"{}", fal.keys, SENT_AT + late)


@pytest.mark.parametrize("name", ["Request-Id", "User-Id", "Timestamp", "Signature"])
@pytest.mark.parametrize("value", ["", "0", "9" * 20, "zz", "é", "0x10"])
async def test_every_signed_header_counts(fal: Fal, name: str, value: str) -> None:
    await fal.verify()
    with pytest.raises(NotFals):
        await fal.verify(**{f"X-Fal-Webhook-{name}": value})


async def test_keys_are_kept_for_a_day(fal: Fal) -> None:
    await fal.verify()
    fal.time += KEYS_SECONDS - 1
    await fal.verify()
    assert fal.asked == 1
    fal.time += 2
    await fal.verify()
    assert fal.asked == 2


async def test_a_new_key_of_fals_is_found_and_bad_signatures_do_not_make_us_ask_again(fal: Fal) -> None:
    await fal.verify()
    fal.rotate()
    for _ in range(5):
        with pytest.raises(NotFals):
            await fal.verify()
    assert fal.asked == 1, "the keys were read a moment ago"
    fal.published = fal.jwks
    fal.time += REFETCH_SECONDS
    await fal.verify()
    await fal.verify()
    assert fal.asked == 2


async def test_while_the_keys_are_away_nothing_is_called_a_forgery(fal: Fal) -> None:
    fal.away = True
    for _ in range(5):
        with pytest.raises(KeysUnavailable):
            await fal.verify()
    assert fal.asked == 1, "at most once a second"
    fal.away = False
    fal.time += RETRY_SECONDS
    await fal.verify()
    fal.away = True
    await fal.verify()
    fal.rotate()
    fal.time += REFETCH_SECONDS
    with pytest.raises(KeysUnavailable):
        await fal.verify()
    with pytest.raises(KeysUnavailable):
        await fal.verify()
    assert fal.asked == 3


@pytest.mark.parametrize("keys", [7, [], [7], [{"kty": "OKP", "crv": "Ed25519", "x": "short"}], [{"kty": 1}]])
async def test_a_key_set_without_a_usable_key_is_no_key_set(fal: Fal, keys: Any) -> None:
    fal.published = {"keys": keys}
    with pytest.raises(KeysUnavailable):
        await fal.verify()


async def test_many_webhooks_at_once_ask_for_the_keys_once(fal: Fal) -> None:
    await asyncio.gather(*(fal.verify() for _ in range(20)))
    assert fal.asked == 1


async def test_a_webhook_before_the_submits_answer_brings_the_handle(desk: Desk) -> None:
    attempt_id = await desk.attempt(state="submitting")
    answer = await desk.post(attempt_id)
    assert answer.status_code == 204
    entry = desk.attempts.kept[attempt_id]
    assert (entry["state"], entry["external_id"], entry["billed"]) == ("submitted", "r1", "yes")
    base = "https://queue.fal.run/fal-ai/flux/requests/r1"
    assert entry["handle"] == {
        "id": "r1",
        "status_url": f"{base}/status",
        "response_url": base,
        "cancel_url": f"{base}/cancel",
    }
    assert desk.bell.rung == [attempt_id]


async def test_a_replay_changes_nothing(desk: Desk) -> None:
    attempt_id = await desk.attempt()
    await desk.post(attempt_id)
    before = dict(desk.attempts.kept[attempt_id])
    assert (await desk.post(attempt_id)).status_code == 204
    assert desk.attempts.kept[attempt_id] == before


async def test_another_request_than_the_ledgers_is_refused(desk: Desk) -> None:
    attempt_id = await desk.attempt(state="submitted", external_id="r0", handle={"id": "r0"})
    answer = await desk.post(attempt_id)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert desk.attempts.kept[attempt_id]["external_id"] == "r0"
    assert desk.bell.rung == []


@pytest.mark.parametrize("state", ["unknown", "failed"])
async def test_of_two_requests_at_once_only_one_is_adopted(desk: Desk, state: str) -> None:
    attempt_id = await desk.attempt(state=state)
    posts = [
        desk.post(attempt_id, json.dumps({"request_id": name}).encode(), request_id=name)
        for name in ("r1", "r2")
    ]
    answers = await asyncio.gather(*posts)
    assert sorted(answer.status_code for answer in answers) == [204, 409]


async def test_a_request_of_an_attempt_that_was_given_up_is_entered_and_the_end_stays(desk: Desk) -> None:
    attempt_id = await desk.attempt(state="failed")
    assert (await desk.post(attempt_id)).status_code == 204
    entry = desk.attempts.kept[attempt_id]
    assert (entry["state"], entry["external_id"], entry["billed"]) == ("failed", "r1", "yes")
    assert entry["ask_at"] <= now(), "what came of it is asked now"


async def test_what_was_not_sent_cannot_have_ended(desk: Desk) -> None:
    attempt_id = await desk.attempt(state="accepted")
    assert (await desk.post(attempt_id)).status_code == 503
    assert "external_id" not in desk.attempts.kept[attempt_id]


async def test_an_attempt_that_nobody_has_is_not_found(desk: Desk) -> None:
    assert (await desk.post("no/0/1")).status_code == 404
    await desk.attempts.insert_one({"_id": "cancelled/0/1", "provider": "fal", "state": "cancelled"})
    assert (await desk.post("cancelled/0/1")).status_code == 404


@pytest.mark.parametrize("query", ["", "attempt={id}", "attempt={id}&mac={other}", "attempt={id}&mac=é"])
async def test_a_url_that_we_did_not_give_out_is_refused_before_any_key_is_read(
    desk: Desk, query: str
) -> None:
    attempt_id = await desk.attempt()
    other = hmac.new(b"another secret", attempt_id.encode(), "sha256").hexdigest()
    url = f"http://gateway/webhooks/fal?{query.format(id=attempt_id, other=other)}"
    assert (await desk.post(attempt_id, url=url)).status_code == 401
    assert desk.fal.asked == 0


async def test_the_mac_of_one_attempt_is_none_for_another(desk: Desk) -> None:
    mine, other = await desk.attempt(), await desk.attempt()
    url = desk.urls.of(mine).replace(mine.replace("/", "%2F"), other.replace("/", "%2F"))
    assert other.split("/")[0] in url
    assert (await desk.post(mine, url=url)).status_code == 401


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
async def test_a_body_that_is_no_webhook_is_refused(desk: Desk, body: bytes, status: int) -> None:
    attempt_id = await desk.attempt()
    assert (await desk.post(attempt_id, body)).status_code == status
    assert "external_id" not in desk.attempts.kept[attempt_id]


async def test_a_bad_signature_is_refused_and_keys_that_are_away_ask_fal_to_come_again(desk: Desk) -> None:
    attempt_id = await desk.attempt()
    desk.fal.away = True
    answer = await desk.post(attempt_id)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    desk.fal.away = False
    desk.fal.time += RETRY_SECONDS
    desk.fal.rotate()
    assert (await desk.post(attempt_id)).status_code == 401
    assert "external_id" not in desk.attempts.kept[attempt_id]


async def test_only_webhooks_for_our_own_user_are_taken_where_it_is_known() -> None:
    desk = Desk(user_id="us")
    attempt_id = await desk.attempt()
    assert (await desk.post(attempt_id, user="them")).status_code == 401
    assert (await desk.post(attempt_id, user="us")).status_code == 204


async def test_an_attempt_of_another_process_is_marked_and_its_owner_notices_once(desk: Desk) -> None:
    attempt_id = await desk.attempt()
    desk.bell.ours = False
    await desk.post(attempt_id)
    assert "pushed_at" in desk.attempts.kept[attempt_id]
    desk.bell.ours = True
    await desk.pushes.notice("somebody else")
    assert desk.bell.rung == []
    await desk.pushes.notice("owner")
    await desk.pushes.notice("owner")
    assert desk.bell.rung == [attempt_id]


async def test_an_attempt_that_has_ended_is_not_marked(desk: Desk) -> None:
    attempt_id = await desk.attempt(state="succeeded", external_id="r1", billed="yes")
    desk.bell.ours = False
    assert (await desk.post(attempt_id)).status_code == 204
    assert "pushed_at" not in desk.attempts.kept[attempt_id]
    assert "ask_at" not in desk.attempts.kept[attempt_id]


async def test_an_end_that_nobody_was_sure_of_is_asked_for_when_its_webhook_comes(desk: Desk) -> None:
    attempt_id = await desk.attempt(state="cancelled", external_id="r1")
    desk.bell.ours = False
    assert (await desk.post(attempt_id)).status_code == 204
    entry = desk.attempts.kept[attempt_id]
    assert (entry["ask_at"] <= now(), entry["state"], entry["billed"]) == (True, "cancelled", "unknown")


def test_the_rebuilt_handle_names_the_model_that_was_asked() -> None:
    lora = {"key": "loras/mia.safetensors", "trigger_word": "mia7", "scale": 0.8}
    for order, app in [
        (an_order(), "fal-ai/flux"),
        (an_order(lora=lora), "fal-ai/flux-lora"),
        (an_order(face=f"{uuid7()}/0"), "fal-ai/flux-pulid"),
        (an_order(model="fal-ai/recraft/v3/text-to-image"), "fal-ai/recraft"),
        (an_order(model="workflows/us/portrait"), "workflows/us/portrait"),
    ]:
        assert handle_of(SETTINGS, order, "r1")["response_url"] == f"https://queue.fal.run/{app}/requests/r1"
    assert handle_of(SETTINGS, an_order(), "../x")["response_url"].endswith("/requests/..%2Fx")


def test_a_webhook_url_needs_a_secret() -> None:
    with pytest.raises(StartupError, match="GATEWAY_WEBHOOK_SECRET"):
        WebhookSettings(secret=None).required()


class House:
    """Processes of the Fal gateway around the simulator; webhooks go to the first one's HTTP port."""

    def __init__(self, rig: Rig, http: httpx.AsyncClient) -> None:
        self.rig = rig
        self.http = http
        self.attempts = FakeCollection()
        self.leases = FakeCollection()
        self.others = {name: FakeCollection() for name in ("provider_health", "gateway_shares")}
        self.publisher = FakePublisher("gateway-fal")
        self.door = FastAPI()
        self.url = ""

    def process(self, pace: Pace) -> tuple[FakeService, Process]:
        service = FakeService(self.publisher)
        settings = FalSettings(key=SecretStr("k"), queue_url=self.rig.url, rest_url=self.rig.url)
        urls = WebhookUrls(self.url, SECRET)
        provider = FalProvider(self.http, settings, self.rig.inputs, urls.of)
        keys = Keys(self.http, settings.rest_url)
        routes = webhook_routes(urls, keys, partial(handle_of, settings), None)
        database = self.others | {"attempts": self.attempts, "gateway_leases": self.leases}
        return service, Process(provider, pace, cast(Database, database), service.service, routes)

    @asynccontextmanager
    async def running(self, pace: Pace = RARELY, *, at_the_door: bool = True) -> AsyncIterator[FakeService]:
        """Only the process at the door gets webhooks, also those of others."""
        before = len(self.leases.kept)
        service, process = self.process(pace)
        if at_the_door:
            self.door.mount("/", service.http)
        task = asyncio.create_task(process.run())
        await until(lambda: len(self.leases.kept) > before)
        yield service
        service.stop()
        await task

    def entry(self, command: RenderRequested) -> dict[str, Any]:
        return self.attempts.kept[command.attempt_id]

    async def ended(self, count: int = 1) -> None:
        await until(lambda: len(self.publisher.said(RenderSucceeded)) == count)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with a_rig("fal", latency_seconds=0.05) as rig, quick_client(5.0) as http:
        made = House(rig, http)
        async with running(made.door) as made.url:
            yield made


async def deliveries(house: House) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await house.rig.http.get("/_sim/webhooks")).json()
    return found


async def test_a_webhook_makes_the_next_poll_come_at_once(house: House) -> None:
    async with house.running() as service:
        command = a_command()
        await service.deliver(command)
        await house.ended()
    [delivery] = await deliveries(house)
    assert delivery["result"] == 204
    query = parse_qs(urlsplit(delivery["url"]).query)
    assert query["attempt"] == [command.attempt_id]
    assert house.entry(command)["state"] == "succeeded"


async def test_a_forged_webhook_is_refused_and_polling_goes_on_without_it(house: House) -> None:
    await house.rig.behave(webhook_bad_signature=True)
    async with house.running(Pace(first_poll=0.2, slowest_poll=0.2)) as service:
        await service.deliver(a_command())
        await house.ended()
    assert {delivery["result"] for delivery in await deliveries(house)} == {401}


async def test_a_submission_whose_answer_was_lost_is_settled_by_its_webhook(house: House) -> None:
    await house.rig.behave(next_faults=["lose_answer"], webhook_delay_seconds=0.1)
    async with house.running(NEVER_SETTLED) as service:
        command = a_command()
        await service.deliver(command)
        await until(lambda: house.entry(command)["state"] == "unknown")
        await house.ended()
    [submission] = await house.rig.books()
    entry = house.entry(command)
    assert (entry["external_id"], entry["submissions"]) == (submission["id"], 1)
    assert house.publisher.said(RenderFailed) == []


async def test_duplicates_end_an_attempt_once(house: House) -> None:
    await house.rig.behave(webhook_duplicates=3)
    async with house.running() as service:
        await service.deliver(a_command(), a_command())
        await house.ended(2)
        async with asyncio.timeout(3):
            while len(await deliveries(house)) < 8:
                await asyncio.sleep(0.01)
    assert {delivery["result"] for delivery in await deliveries(house)} == {204}
    assert len(house.publisher.said(RenderSucceeded)) == 2


async def test_a_webhook_that_comes_to_another_process_reaches_the_attempts_own(house: House) -> None:
    await house.rig.behave(next_faults=["lose_answer"], webhook_delay_seconds=0.05)
    async with house.running(NEVER_SETTLED, at_the_door=False) as owner:
        command = a_command()
        await owner.deliver(command)
        await until(lambda: house.entry(command)["state"] == "unknown")
        async with house.running():
            await house.ended()
            await until(lambda: "pushed_at" not in house.entry(command))
    assert house.entry(command)["submissions"] == 1
