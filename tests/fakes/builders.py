"""Messages about one job, and small policies. Every field can be set."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from contracts.base import Message, id_of, topic_of
from contracts.characters import Lora
from contracts.generation import (
    GenerationCancel,
    GenerationPlanned,
    GenerationRejected,
    GenerationWaiting,
    Reason,
    RenderSpec,
)
from contracts.jobs import JobDue
from contracts.renders import RenderFailed, RenderProgressed, ResultStored, StoredImage
from services.dispatcher.domain import advance
from services.dispatcher.job_record import JobRecord
from services.dispatcher.policies import Policies
from shared.envelope import Received

M = TypeVar("M", bound=Message)

JOB = "0195940a-5b40-7d3e-b0c4-8a6b2d7e9f01"
CHARACTER = "0195940a-0000-7000-8000-00000000c4a2"
MIA = ("acme", CHARACTER)
"""The character as the dispatcher names it."""
CHAIN = "0195940a-0000-7000-8000-000000000c4a"
START = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
LORA = Lora(key="acme/loras/mia.safetensors", trigger_word="mia_tok")
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

DEADLINE_SECONDS = 300.0
PATIENCE_SECONDS = 900.0
TYPE = {
    "target_seconds": 15,
    "deadline_seconds": DEADLINE_SECONDS,
    "min_completed_ratio": 0.5,
    "priority": 1,
    "providers": ["modal", "comfyui", "fal"],
}
POLICIES = Policies.model_validate(
    {
        "types": {
            "base_image": TYPE,
            "character_sheet": TYPE | {"min_completed_ratio": 0.7},
            "studio": TYPE,
            "profile_pictures": TYPE | {"providers": ["comfyui", "modal"]},
            "lora_training": TYPE | {"providers": ["fal"], "deadline_seconds": PATIENCE_SECONDS},
        },
        "capabilities": {
            "modal": ["text_to_image", "reference", "face_swap", "lora", "workflow"],
            "comfyui": ["text_to_image", "reference", "face_swap", "lora", "workflow"],
            "fal": ["text_to_image", "face_swap"],
        },
        "preferred": {"face_swap": ["fal", "modal"]},
        "model_prefixes": {"fal-ai/": "fal"},
        "look_for_lora_seconds": 30,
        "confirm_lora_failure_seconds": 5,
        "wait_for_character_seconds": 60,
        "look_for_character_seconds": 1,
        "retries": {
            "pauses_seconds": [1, 2, 3],
            "tries_at_one_provider": 4,
            "failures": {
                "nsfw": "never",
                "input_not_found": "never",
                "lost": "again",
                "outcome_unknown": "unsure",
            },
        },
    }
)


def after(seconds: float) -> datetime:
    """Return the time this many seconds after the request."""
    return START + timedelta(seconds=seconds)


def a_spec(index: int = 0, **fields: Any) -> RenderSpec:
    return RenderSpec(**{"index": index, "label": f"shot {index}", "prompt": "a lighthouse"} | fields)


def a_plan(images: int = 1, **fields: Any) -> GenerationPlanned:
    known = {
        "job_id": JOB,
        "tenant": "acme",
        "user_id": "ann",
        "type": "studio",
        "request_hash": "abc",
        "requested_at": START,
        "renders": tuple(a_spec(index) for index in range(images)),
    }
    return GenerationPlanned.model_validate(known | fields)


def a_waiting_plan(images: int = 1, **fields: Any) -> GenerationPlanned:
    """Return the plan of an image that waits for its character's LoRA."""
    return a_plan(images, **{"waits_for_lora": True, "character_id": CHARACTER} | fields)


def a_wait(*, accepted: bool = False, **fields: Any) -> GenerationWaiting:
    """Return a request for an image of a character that is not stored yet."""
    known = a_plan(character_id=CHARACTER).model_dump(exclude={"renders"})
    known["requested"] = {
        "job_id": JOB,
        "tenant": "acme",
        "user_id": "ann",
        "request": {"type": "studio", "character_id": CHARACTER},
        "requested_at": START,
        "character_accepted": accepted,
    }
    known["reasons"] = (
        Reason(field="request.character_id", message=f"character {CHARACTER} does not exist"),
    )
    return GenerationWaiting.model_validate(known | fields)


def a_rejection(**fields: Any) -> GenerationRejected:
    known = a_plan().model_dump(exclude={"renders"})
    known["reasons"] = (Reason(field="request.count", message="at most 10"),)
    return GenerationRejected.model_validate(known | fields)


def a_cancel(**fields: Any) -> GenerationCancel:
    known = {"job_id": JOB, "tenant": "acme", "reason": "changed my mind"}
    return GenerationCancel.model_validate(known | fields)


def _news(index: int, n: int, job_id: str = JOB) -> dict[str, Any]:
    return {
        "attempt_id": f"{job_id}/{index}/{n}",
        "job_id": job_id,
        "tenant": "acme",
        "provider": "modal",
        "at": START,
    }


def progressed(index: int = 0, n: int = 1, *, state: str = "running", **fields: Any) -> RenderProgressed:
    return RenderProgressed.model_validate(_news(index, n) | {"state": state} | fields)


def failed(index: int = 0, n: int = 1, **fields: Any) -> RenderFailed:
    """Return a retryable failure by default."""
    known = {"code": "provider_unreachable", "message": "no answer", "retryable": True, "billed": "no"}
    return RenderFailed.model_validate(_news(index, n) | known | fields)


def refused(index: int = 0, n: int = 1, **fields: Any) -> RenderFailed:
    """Return a failure that no retry can fix."""
    known = {"code": "nsfw", "message": "refused by the safety checker", "retryable": False}
    return failed(index, n, **known | fields)


def stored(index: int = 0, n: int = 1, **fields: Any) -> ResultStored:
    image = StoredImage(
        key=f"acme/{JOB}/{index}/{n}",
        content_type="image/png",
        bytes=1000,
        sha256=f"{index:032x}{n:032x}",
        width=64,
        height=64,
        seed=7,
        prompt="a lighthouse",
        provider="modal",
        attempt=n,
    )
    return ResultStored.model_validate(_news(index, n) | {"image": image} | fields)


def due(at: datetime, **fields: Any) -> JobDue:
    owner = {"tenant": "acme"} if "character_id" in fields else {}
    return JobDue.model_validate({"job_id": JOB, "due_at": at} | owner | fields)


def a_job(images: int = 1, **fields: Any) -> JobRecord:
    """Return a job whose plan has just been accepted."""
    job, _ = advance(None, a_plan(images, **fields), policies=POLICIES, now=START)
    assert job is not None
    return job


def received(
    message: M, *, partition: int = 0, offset: int = 0, batch_start: int | None = None, **fields: Any
) -> Received[M]:
    """Return a message as a handler receives it, alone in its batch by default."""
    known: dict[str, Any] = {
        "id": id_of(message),
        "topic": topic_of(message),
        "at": START,
        "trace": TRACE,
    }
    start = offset if batch_start is None else batch_start
    return Received(message, partition=partition, offset=offset, batch_start=start, **known | fields)
