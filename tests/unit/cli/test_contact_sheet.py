"""The contact sheet shows every job and image, and escapes all texts."""

from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

from clients.cli.contact_sheet import sheet, write_sheet
from clients.cli.demo_jobs import DemoJob
from clients.cli.demo_requests import DemoRequest
from clients.cli.job_progress import ImageProgress, JobProgress
from contracts.http import ResultImage
from contracts.jobs import ImageEvent
from contracts.renders import StoredImage

EVIL = """<script>alert("1")</script> & 'quoted' $title"""
JOB_ID = "0193f2a0-0000-7000-8000-000000000001"


class Page(HTMLParser):
    """Tags, links, alternative texts and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.alts: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.alts += [value for name, value in attrs if name == "alt" and value]
        self.links += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_data(self, data: str) -> None:
        self.text += data


def a_demo_job(prompt: str = "a portrait", **fields: object) -> DemoJob:
    stored = {
        "content_type": "image/png",
        "bytes": 148_200,
        "sha256": "0" * 64,
        "width": 896,
        "height": 1152,
        "seed": 4711,
        "prompt": prompt,
        "provider": "fal",
    }
    image = ResultImage.model_validate(
        stored | {"index": 0, "label": prompt[:100], "url": "http://s3/x", "expires_at": datetime.now(UTC)}
    )
    event = ImageEvent(index=0, stored=StoredImage.model_validate(stored | {"key": "k", "attempt": 3}))
    progress = JobProgress(JOB_ID, "studio", status="completed", requested=2, delivered=1)
    progress.target_seconds, progress.elapsed_seconds = 15.0, 3.25
    progress.images = {
        0: ImageProgress("first", "done", event=event),
        1: ImageProgress("second", "failed", error=prompt),
    }
    for name, value in fields.items():
        setattr(progress, name, value)
    path = Path("out/images/studio-kafka/0-image #1 of 2.png")
    return DemoJob(DemoRequest(prompt, "Kafka", {"type": "studio"}), progress, images=[(image, path)])


def test_texts_of_users_and_providers_are_escaped() -> None:
    """Prompts, labels, titles and errors are theirs."""
    page = Page(sheet([a_demo_job(EVIL, error=EVIL)], Path("out"), 12))
    assert "script" not in page.tags
    assert page.text.count(EVIL) >= 4


def test_an_image_has_a_caption_with_its_seed_size_provider_and_attempt() -> None:
    text = Page(sheet([a_demo_job()], Path("out"), 12)).text
    for expected in ("a portrait", "seed 4711", "896×1152", "148 kB", "Fal", "attempt 3"):
        assert expected in text


def test_a_job_has_its_time_its_target_and_its_missing_images() -> None:
    text = Page(sheet([a_demo_job()], Path("out"), 12)).text
    for expected in ("3.2 s", "target 15 s", "1 of 2", "second", "over Kafka", JOB_ID):
        assert expected in text


def test_a_job_that_missed_its_target_is_marked() -> None:
    assert 'class="time late"' in sheet([a_demo_job(elapsed_seconds=20.0)], Path("out"), 12)
    assert 'class="time early"' in sheet([a_demo_job()], Path("out"), 12)


def test_the_wait_for_a_lora_does_not_count_towards_the_target() -> None:
    waited = a_demo_job(elapsed_seconds=40.0, waited_seconds=36.0)
    page = sheet([waited], Path("out"), 12)
    assert 'class="time early"' in page
    assert "4.0 s measured after waiting 36 s, target 15 s" in " ".join(Page(page).text.split())
    late = sheet([a_demo_job(elapsed_seconds=60.0, waited_seconds=36.0)], Path("out"), 12)
    assert 'class="time late"' in late


def test_a_training_shows_its_lora_instead_of_a_number_of_images() -> None:
    training = a_demo_job(type="lora_training", requested=1, delivered=1)
    training.images, training.progress.images = [], {}
    text = Page(sheet([training], Path("out"), 12)).text
    assert "LoRA ready" in text
    assert "1 of 1" not in text


def test_alternative_texts_have_title_and_label_and_no_prompt() -> None:
    prompt = "golden light " * 20
    job = a_demo_job(prompt)
    job.request = DemoRequest("Mara at the beach", "Kafka", {"type": "studio"})
    [alt] = Page(sheet([job], Path("out"), 12)).alts
    assert alt == f"Mara at the beach: {job.images[0][0].label}"
    assert prompt not in alt


def test_the_page_links_only_to_files_beside_it() -> None:
    links = Page(sheet([a_demo_job()], Path("out"), 12)).links
    assert set(links) == {"images/studio-kafka/0-image%20%231%20of%202.png", "events.jsonl"}


def test_a_job_without_any_event_is_listed() -> None:
    silent = DemoJob(DemoRequest("Silence", "HTTP", {"type": "studio"}), JobProgress(JOB_ID, "studio"))
    text = Page(sheet([silent], Path("out"), 12)).text
    assert "Silence" in text
    assert "pending" in text


def test_the_sheet_is_written_beside_the_images(tmp_path: Path) -> None:
    assert write_sheet([], tmp_path / "new", 1).read_text().startswith("<!doctype html>")


def test_the_page_counts_the_jobs_by_the_way_of_their_requests() -> None:
    jobs = [a_demo_job() for _ in range(3)]
    jobs[1].request = replace(jobs[1].request, transport="HTTP")
    text = " ".join(Page(sheet(jobs, Path("out"), 12)).text.split())
    assert "2 requested over Kafka, as another service would publish them, 1 over HTTP." in text
