"""Messages and documents of one job, from the contracts' examples: the same bytes for every contestant."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from bench.pictures import PICTURE_SHA256

EXAMPLES: Final = Path(__file__).parents[1] / "contracts" / "examples"
JOB_ID: Final = "0195940a-5b40-7d3e-b0c4-8a6b2d7e9f01"
TENANT: Final = "atelier"
TRACE: Final = "traceparent"
SHA256: Final = "a3f5c2e19b7d48066f1c0e9d8b7a65543f2e1d0c9b8a7766554433221100ffee"
OUTPUT: Final = "/outputs/fc-01JPA7Q2M3X4/0.png"

Document = dict[str, Any]
Headers = list[tuple[str, bytes]]


@cache
def _example(name: str) -> Document:
    example: Document = json.loads((EXAMPLES / f"{name}.v1.json").read_text())
    body = example["body"]
    body.pop("notify", None)  # no webhooks here
    if name == "generation.requested.base_image":
        del body["requested_at"]  # its deadline would have passed
        body["request"] |= {"count": 1, "provider": "modal"}
    if name == "generation.planned":
        body["renders"] = body["renders"][:1]
    return example


@cache
def _body_text(name: str) -> str:
    return json.dumps(_example(name)["body"], separators=(",", ":")).replace(SHA256, PICTURE_SHA256)


def body(name: str, job_id: str, tenant: str) -> bytes:
    """Return the serialized body of a message."""
    return _body_text(name).replace(JOB_ID, job_id).replace(TENANT, tenant).encode()


def fields(name: str, job_id: str, tenant: str) -> Document:
    """Return the body of a message as a new dictionary."""
    found: Document = json.loads(body(name, job_id, tenant))
    return found


def headers(name: str, job_id: str) -> Headers:
    """Return the CloudEvents headers of a message; each job begins a trace of its own."""
    known: dict[str, str] = _example(name)["headers"]
    return [(key, value.replace(JOB_ID, job_id).encode()) for key, value in known.items() if key != TRACE]


def submission(job_id: str) -> Document:
    """Return the request to the provider."""
    spec = fields("render.requested.modal", job_id, TENANT)["spec"]
    known = ("prompt", "negative_prompt", "seed", "width", "height")
    idempotency_key = str(uuid5(NAMESPACE_URL, f"imagegen:{job_id}/0/1"))
    return {"id": idempotency_key, "kind": "image", "input": {key: spec[key] for key in known}}


def job_document(job_id: str, tenant: str) -> Document:
    """Return the document of an accepted job."""
    plan = fields("generation.planned", job_id, tenant)
    renders = plan.pop("renders")
    return {
        "_id": job_id,
        **plan,
        "status": "pending",
        "phase": "queued",
        "requested": 1,
        "delivered": 0,
        "renders": [{"spec": spec, "state": "waiting", "attempts": []} for spec in renders],
        "events": [fields("job.events.accepted", job_id, tenant)],
        "version": 1,
    }


def completed(job: Document) -> Document:
    """Return the document of the completed job, with all its events."""
    job_id, tenant = job["_id"], job["tenant"]
    image = fields("result.stored", job_id, tenant)["image"]
    render = {**job["renders"][0], "state": "done", "stored": image}
    later = ("started", "image_ready", "completed")
    return {
        **job,
        "status": "completed",
        "phase": None,
        "delivered": 1,
        "renders": [render],
        "events": [*job["events"], *(fields(f"job.events.{each}", job_id, tenant) for each in later)],
        "version": job["version"] + 1,
    }


def attempt_document(job_id: str, tenant: str) -> Document:
    """Return the intent, which is written before the provider is called."""
    command = fields("render.requested.modal", job_id, tenant)
    return {
        "_id": f"{job_id}/0/1",
        "job_id": job_id,
        "tenant": tenant,
        "command": command,
        "idempotency_key": submission(job_id)["id"],
        "owner": "a benchmark",
        "state": "accepted",
    }


def attempt_end(call_id: str) -> Document:
    """Return the update of the attempt's document with the provider's result."""
    known = {"state": "succeeded", "external_id": call_id, "billed": "yes", "submissions": 1}
    return {"$set": known, "$unset": {"owner": ""}}


def asset_document(job_id: str, tenant: str) -> Document:
    """Return the document of a stored image."""
    return {
        "_id": f"{job_id}/0",
        "state": "stored",
        "result": fields("render.succeeded", job_id, tenant),
        "image": fields("result.stored", job_id, tenant)["image"],
    }


def object_key(job_id: str, tenant: str) -> str:
    """Return the key of the image in the bucket."""
    return f"{tenant}/{job_id}/0/{PICTURE_SHA256}"
