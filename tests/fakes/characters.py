"""Messages about one character and its chain."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from contracts.chains import BaseImageSelected, ChainCancel, ChainResume
from contracts.characters import Character, CharacterCreated, CharacterRecord
from contracts.generation import GenerationConflicted, GenerationRequested
from contracts.jobs import CharacterSheetCompleted, ImageEvent, JobError, JobEvent
from contracts.renders import StoredImage, StoredLora
from contracts.requests import ProfileFollowUp, StudioFollowUp, TrainingFollowUp
from services.characters.job_images import ImagesByJob, JobImages, JobReader
from services.characters.policies import Policies
from tests.fakes.builders import CHARACTER, JOB, START, after

POLICIES = Policies.model_validate(
    {
        "selection": {
            "unknown_job_seconds": 60,
            "known_job_seconds": 10_800,
            "min_check_seconds": 0.5,
            "max_check_seconds": 5,
        },
        "sheet": {"min_completed_ratio": 0.7},
        "training": {
            "least_images": 4,
            "most_images": 50,
            "steps": 900,
            "after_sheets_outside_chains": "never",
        },
        "lora_providers": {"flux": ["modal", "fal"]},
    }
)
FACES = "0195940a-0000-7000-8000-0000000face5"
"""The job that drew the candidates for the face."""
FACE = f"{FACES}/1"
MARA = Character(name="Mara", age=27)
TRAINING = "0195940a-0000-7000-8000-000000007a11"

ALL_THREE = (TrainingFollowUp(), StudioFollowUp(scene="beach", count=2), ProfileFollowUp(set_id="dating"))


def a_selection(**fields: Any) -> BaseImageSelected:
    known = {
        "character_id": CHARACTER,
        "tenant": "acme",
        "user_id": "ann",
        "base_image_id": FACE,
        "selected_at": after(-1),
    }
    return BaseImageSelected.model_validate(known | fields)


def a_creation(**fields: Any) -> CharacterCreated:
    known = {
        "character_id": CHARACTER,
        "tenant": "acme",
        "user_id": "ann",
        "character": MARA,
        "created_at": after(-60),
    }
    return CharacterCreated.model_validate(known | fields)


def a_character_record(**fields: Any) -> CharacterRecord:
    known: dict[str, Any] = {
        "character_id": CHARACTER,
        "tenant": "acme",
        "user_id": "ann",
        "character": MARA.model_copy(update={"trigger_word": "qdvhzmwn"}),
        "created_at": START,
        "updated_at": START,
    }
    return CharacterRecord(**known | fields)


def a_beginning(**fields: Any) -> GenerationRequested:
    """Return a request for a sheet of an inline character, with follow-ups."""
    request = {"type": "character_sheet", "character": MARA, "base_image_id": FACE}
    known = {
        "job_id": JOB,
        "tenant": "acme",
        "user_id": "ann",
        "request": request | fields.pop("request", {}),
        "then": ALL_THREE,
    }
    return GenerationRequested.model_validate(known | fields)


def an_event(kind: str, job_id: str = JOB, *, seconds: float = 10.0, **fields: Any) -> JobEvent:
    """Return an event of a job of the chain, this many seconds after the chain began."""
    known = {
        "event": kind,
        "job_id": job_id,
        "tenant": "acme",
        "user_id": "ann",
        "type": "character_sheet",
        "seq": 99 if kind in ("completed", "failed") else 1,
        "at": after(seconds),
        "status": kind if kind in ("completed", "failed") else "running",
        "phase": None,
        "requested": 7,
        "delivered": 0,
        "failed": 0,
        "target_seconds": 300.0,
        "elapsed_seconds": seconds,
        "chain_id": JOB,
        "character_id": JOB,
    }
    return JobEvent.model_validate(known | fields)


def an_image(index: int, job_id: str = JOB, *, label: str | None = None, **fields: Any) -> JobEvent:
    """Return the event of a ready image, with its caption."""
    stored = StoredImage(
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
    label = label or f"pose {index}"
    image = ImageEvent(index=index, label=label, caption=f"{{trigger}}, {label}", stored=stored)
    known: dict[str, Any] = {"image": image, "seq": 10 + index}
    return an_event("image_ready", job_id, **known | fields)


def images(indexes: Iterable[int], job_id: str = JOB, **fields: Any) -> list[JobEvent]:
    return [an_image(index, job_id, **fields) for index in indexes]


def a_failure(job_id: str = JOB, *, code: str = "provider_failed", **fields: Any) -> JobEvent:
    error = JobError(code=code, message="nobody could do it")
    return an_event("failed", job_id, **{"error": error} | fields)


def a_conflict(job_id: str = JOB, **fields: Any) -> GenerationConflicted:
    """Return the conflict of a chain whose first job id is taken."""
    known = {"job_id": job_id, "tenant": "acme", "chain_id": JOB, "reason": "it is taken", "at": after(10)}
    return GenerationConflicted.model_validate(known | fields)


def a_stored_lora(key: str = "acme/lora", **fields: Any) -> StoredLora:
    known = {
        "key": key,
        "manifest_key": f"{key}.json",
        "content_type": "application/octet-stream",
        "bytes": 1000,
        "sha256": "bb",
        "trigger_word": "qdvhzmwn",
        "base_model": "black-forest-labs/FLUX.1-dev",
        "steps": 900,
        "provider": "fal",
        "attempt": 1,
    }
    return StoredLora.model_validate(known | fields)


def a_training_event(kind: str, job_id: str = TRAINING, **fields: Any) -> JobEvent:
    """Return an event of a training of the character."""
    known = {"type": "lora_training", "character_id": CHARACTER, "chain_id": None}
    return an_event(kind, job_id, **known | fields)


def a_lora(job_id: str = TRAINING, *, key: str = "acme/lora", **fields: Any) -> JobEvent:
    """Return the event of a training's LoRA."""
    stored = a_stored_lora(key, **fields.pop("stored", {}))
    return a_training_event("image_ready", job_id, **{"image": ImageEvent(index=0, lora=stored)} | fields)


def a_sheet(poses: Iterable[int] = range(7), job_id: str = JOB, **fields: Any) -> CharacterSheetCompleted:
    poses = list(poses)
    known = {
        "character_id": CHARACTER,
        "job_id": job_id,
        "tenant": "acme",
        "user_id": "ann",
        "images": tuple(f"{job_id}/{place}" for place, _ in enumerate(poses)),
        "labels": tuple(f"pose {pose}" for pose in poses),
        "captions": tuple(f"{{trigger}}, pose {pose}" for pose in poses),
        "at": after(60),
    }
    return CharacterSheetCompleted.model_validate(known | fields)


def a_chain_cancel(seconds: float = 20.0, **fields: Any) -> ChainCancel:
    known = {"chain_id": JOB, "tenant": "acme", "requested_at": after(seconds)}
    return ChainCancel.model_validate(known | fields)


def a_resume(seconds: float = 30.0, **fields: Any) -> ChainResume:
    known = {"chain_id": JOB, "tenant": "acme", "requested_at": after(seconds)}
    return ChainResume.model_validate(known | fields)


def faces(**fields: Any) -> JobImages:
    """Return the job that drew the candidates, all of them ready."""
    known: dict[str, Any] = {"tenant": "acme", "character": MARA, "ready": frozenset({0, 1, 2}), "planned": 3}
    return JobImages(**known | fields)


class FakeJobs(JobReader):
    """Jobs in memory, with what the characters service reads of them."""

    def __init__(self) -> None:
        self.kept: dict[str, JobImages] = {FACES: faces()}
        self.reads: list[set[str]] = []

    async def images(self, job_ids: Iterable[str]) -> ImagesByJob:
        wanted = set(job_ids)
        if wanted:
            self.reads.append(wanted)
        return {job_id: self.kept[job_id] for job_id in wanted if job_id in self.kept}


LATE = timedelta(days=1)
"""Time of the records after START, late enough that no time in them is clamped."""
