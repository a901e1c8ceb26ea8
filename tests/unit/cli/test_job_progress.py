"""Progress of a followed job, from its events and from the API."""

from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from clients.cli.job_progress import JobProgress
from clients.cli.progress_display import job_with_images, one_line, seconds_of
from contracts.http import JobView
from contracts.jobs import JobEvent, Status
from tests.fakes.jobs import a_stored_lora

JOB_ID = "0193f2a0-0000-7000-8000-000000000001"
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def an_event(event: str, **more: Any) -> JobEvent:
    known: dict[str, Any] = {
        "event": event,
        "job_id": JOB_ID,
        "tenant": "t",
        "user_id": "u",
        "type": "studio",
        "seq": 1,
        "at": NOW,
        "status": "running",
        "phase": "rendering",
        "requested": 2,
        "delivered": 0,
        "failed": 0,
        "target_seconds": 15,
        "elapsed_seconds": 1.5,
    }
    return JobEvent.model_validate(known | more)


def shown(job: JobProgress) -> str:
    console = Console(record=True, width=120, file=None, quiet=False)
    with console.capture() as capture:
        console.print(job_with_images(job))
    return capture.get()


def test_progress_is_shown_per_image() -> None:
    job = JobProgress(JOB_ID, "studio")
    progress = [
        {"index": 0, "state": "running", "percent": 40},
        {"index": 1, "state": "queued", "queue_position": 3},
    ]
    job.apply_event(an_event("progressed", progress=progress))
    text = shown(job)
    assert "running · rendering" in text
    assert "0 of 2 images" in text
    assert "40 %" in text
    assert "3 ahead in the queue" in text
    assert job.share == pytest.approx(0.2)


def test_a_failed_image_is_shown_with_its_error() -> None:
    job = JobProgress(JOB_ID, "studio")
    error = {"code": "nsfw", "message": "the provider refused"}
    job.apply_event(an_event("image_failed", image={"index": 1, "label": "two", "error": error}))
    assert "the provider refused" in shown(job)


def test_a_failed_job_is_one_line_with_its_final_time_and_error() -> None:
    job = JobProgress(JOB_ID, "studio")
    error = {"code": "cancelled", "message": "by the caller"}
    job.apply_event(an_event("failed", status="failed", phase=None, error=error, elapsed_seconds=4.0))
    assert job.ended
    assert job.seconds == 4.0
    assert one_line("it", job) == "it: failed, 0 of 2 images, 4.0 of 15 s  cancelled: by the caller"


def test_time_spent_waiting_for_a_lora_does_not_count_towards_the_target() -> None:
    job = JobProgress(JOB_ID, "studio")
    job.apply_event(an_event("accepted", status="pending", phase="waiting_for_lora", elapsed_seconds=20.0))
    assert job.counted_seconds == 0.0
    assert "waiting for its LoRA for 20." in seconds_of(job)
    ended = {"status": "completed", "phase": None, "elapsed_seconds": 24.0, "waited_seconds": 21.0}
    job.apply_event(an_event("completed", **ended))
    assert job.counted_seconds == 3.0
    assert seconds_of(job) == "3.0 of 15 s, after waiting 21.0 s"


@pytest.mark.parametrize(
    ("delivered", "status", "words"),
    [(0, "running", "LoRA in training"), (1, "completed", "LoRA ready"), (0, "failed", "no LoRA")],
)
def test_a_training_delivers_a_lora_and_no_image(delivered: int, status: Status, words: str) -> None:
    job = JobProgress(JOB_ID, "lora_training", status=status, requested=1, delivered=delivered)
    line = one_line("Training", job)
    assert words in line
    assert "image" not in line


def test_the_answer_of_the_api_has_the_labels_of_images() -> None:
    job = JobProgress(JOB_ID, "studio")
    job.apply_view(
        JobView.model_validate(
            {
                "id": JOB_ID,
                "type": "studio",
                "user_id": "u",
                "status": "running",
                "phase": "rendering",
                "requested": 1,
                "delivered": 0,
                "failed": 0,
                "elapsed_seconds": 1,
                "created": NOW,
                "images": [{"index": 0, "label": "front-portrait", "state": "storing"}],
            }
        )
    )
    assert "front-portrait" in shown(job)
    assert job.share == 1.0


def test_the_event_with_a_trained_lora_completes_its_image() -> None:
    job = JobProgress(JOB_ID, "lora_training")
    job.apply_event(
        an_event("image_ready", image={"index": 0, "label": "lora", "lora": a_stored_lora(JOB_ID)})
    )
    assert job.images[0].state == "done"
