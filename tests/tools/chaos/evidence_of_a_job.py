"""Evidence of one job in which every promise was kept, and ways to change it."""

import base64
import hmac
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.chaos.evidence import Evidence, PublishedEvent, ReceivedWebhook, Submission, id_at_provider
from tests.chaos.load import Order

JOB, SHA = "11111111-1111-4111-8111-111111111111", "ab" * 32
KEY = f"acme/{JOB}/0/{SHA}"
FIRST, SECOND = f"{JOB}/0/1", f"{JOB}/0/2"
URL = "http://127.0.0.1:1/hook"
EVENTS = ("accepted", "started", "image_ready", "completed")
SECRET = "whsec_" + base64.b64encode(b"0" * 32).decode()
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def published(seq: int, kind: str, **more: Any) -> PublishedEvent:
    image = {"index": 0, "stored": {"key": KEY, "sha256": SHA}}
    body = {"job_id": JOB, "seq": seq, "event": kind, "image": image} | more
    return PublishedEvent(f"job.events:{JOB}/{seq}/{kind}", body)


def webhook(seq: int, body: bytes | None = None, url: str = URL, tenant: str = "acme") -> ReceivedWebhook:
    kind = EVENTS[seq - 1] if seq <= len(EVENTS) else "failed"
    body = json.dumps(published(seq, kind).body).encode() if body is None else body
    key = hmac.digest(b"0" * 32, f"webhooks of {tenant}".encode(), "sha256")
    sign = hmac.digest(key, f"{JOB}/{seq}.1700000000.".encode() + body, "sha256")
    return ReceivedWebhook(f"{JOB}/{seq}", url, body, "1700000000", f"v1,{base64.b64encode(sign).decode()}")


def attempt(n: int, outcome: str, code: str | None = None, **more: Any) -> dict[str, Any]:
    error = {"code": code, "message": "CUDA"} if code else None
    return {"n": n, "outcome": outcome, "error": error, "retryable": True, "provider": "fal"} | more


ORDER = Order(JOB, "acme", "studio", {"type": "studio"}, webhook=URL)
GOOD = Evidence(
    asked=(JOB,),
    orders={JOB: ORDER},
    webhook_urls={JOB: URL},
    jobs={
        JOB: {
            "status": "completed",
            "tenant": "acme",
            "type": "studio",
            "seq": 4,
            "error": None,
            "failed": 0,
            "renders": [
                {
                    "state": "done",
                    "spec": {"index": 0},
                    "stored": {"key": KEY, "sha256": SHA},
                    "attempts": [attempt(1, "failed", "provider_error"), attempt(2, "succeeded")],
                }
            ],
        }
    },
    events=tuple(published(seq, kind) for seq, kind in enumerate(EVENTS, 1)),
    assets={f"{JOB}/0": {"state": "stored", "key": KEY}},
    objects={KEY: SHA, f"{KEY}.preview.webp": "cd" * 32},
    attempts={
        FIRST: {"state": "failed", "billed": "unknown", "submissions": 1, "finished_at": at(2)},
        SECOND: {"state": "succeeded", "billed": "yes", "submissions": 1, "finished_at": at(5)},
    },
    submissions=(
        Submission("fal", "f1", FIRST, "failed", at(1)),
        Submission("modal", "m1", id_at_provider(SECOND), "succeeded", at(3)),
    ),
    webhooks=tuple(webhook(seq) for seq in (1, 2, 3, 4)),
    secret=SECRET,
)


def changed(field: str, change: Callable[[Any], Any]) -> Evidence:
    return replace(GOOD, **{field: change(deepcopy(getattr(GOOD, field)))})


def job(**fields: Any) -> Callable[[Any], Any]:
    return lambda jobs: {JOB: jobs[JOB] | fields}


def render(**fields: Any) -> Callable[[Any], Any]:
    return lambda jobs: {JOB: jobs[JOB] | {"renders": [jobs[JOB]["renders"][0] | fields]}}


def entry(id_: str, **fields: Any) -> Callable[[Any], Any]:
    return lambda documents: documents | {id_: documents[id_] | fields}


def without(key: str) -> Callable[[Any], Any]:
    return lambda items: {name: value for name, value in items.items() if name != key}
