"""Job documents and events for tests of their readers."""

from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.generation import RenderSpec
from contracts.jobs import ImageEvent, Job, JobEvent, Render
from contracts.renders import StoredImage, StoredLora
from shared.ids import uuid7

START = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)


def a_stored_lora(job_id: str) -> StoredLora:
    return StoredLora(
        key=f"acme/{job_id}/0/aa.safetensors",
        manifest_key=f"acme/{job_id}/0/aa.1.manifest.json",
        content_type="application/octet-stream",
        bytes=1000,
        sha256="aa",
        trigger_word="mia7",
        base_model="FLUX.1-dev",
        steps=1200,
        provider="fal",
        attempt=1,
    )


def a_stored_image(job_id: str, index: int = 0) -> StoredImage:
    return StoredImage(
        key=f"acme/{job_id}/{index}/aa",
        content_type="image/png",
        bytes=1000,
        sha256="aa",
        width=64,
        height=64,
        seed=7,
        prompt="a lighthouse",
        provider="modal",
        attempt=1,
    )


def a_render(index: int = 0, **fields: Any) -> Render:
    return Render(spec=RenderSpec(index=index, label=f"shot {index}", prompt="a lighthouse"), **fields)


def a_job(**fields: Any) -> Job:
    at = fields.pop("requested_at", START)
    known: dict[str, Any] = {
        "job_id": uuid7(),
        "tenant": "acme",
        "user_id": "ann",
        "type": "studio",
        "request_hash": "abc",
        "requested_at": at,
        "accepted_at": at,
        "updated_at": at,
        "deadline_at": at + timedelta(minutes=5),
        "target_seconds": 15.0,
        "requested": 1,
        "status": "running",
        "phase": "rendering",
        "renders": (a_render(),),
    }
    return Job.model_validate(known | fields)


def an_event(kind: str, seq: int, **fields: Any) -> JobEvent:
    known: dict[str, Any] = {
        "event": kind,
        "job_id": "00000000-0000-7000-8000-000000000001",
        "tenant": "acme",
        "user_id": "ann",
        "type": "studio",
        "seq": seq,
        "at": START + timedelta(seconds=seq),
        "status": kind if kind in ("completed", "failed") else "running",
        "phase": None,
        "requested": 1,
        "delivered": 0,
        "failed": 0,
        "target_seconds": 15.0,
        "elapsed_seconds": float(seq),
    }
    event = JobEvent.model_validate(known | fields)
    if kind == "image_ready" and event.image is None:
        image = ImageEvent(index=0, label="shot 0", stored=a_stored_image(event.job_id))
        event = event.model_copy(update={"image": image})
    return event


def a_story(*kinds: str, **fields: Any) -> tuple[JobEvent, ...]:
    """Return events with numbers from 1."""
    return tuple(an_event(kind, seq, **fields) for seq, kind in enumerate(kinds, 1))


def job_of(events: tuple[JobEvent, ...], **fields: Any) -> Job:
    """Return the document of these events."""
    last = events[-1]
    return a_job(
        job_id=last.job_id,
        tenant=last.tenant,
        user_id=last.user_id,
        events=events,
        seq=last.seq,
        status=last.status,
        updated_at=last.at,
        **fields,
    )
