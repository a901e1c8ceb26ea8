"""The contact sheet: everything that was asked and came, and nothing of it is markup."""

from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

from clients.cli.contact_sheet import sheet, write_sheet
from clients.cli.demo_requests import Wish
from clients.cli.demo_run import Asked
from clients.cli.following import Followed, Picture
from contracts.http import ResultImage
from contracts.jobs import ImageEvent
from contracts.renders import StoredImage

EVIL = """<script>alert("1")</script> & 'quoted' $title"""
JOB_ID = "0193f2a0-0000-7000-8000-000000000001"


class Page(HTMLParser):
    """The tags, the image sources and the text of a page."""

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


def an_asked_job(prompt: str = "a portrait", **job: object) -> Asked:
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
    followed = Followed(JOB_ID, "studio", status="completed", requested=2, delivered=1)
    followed.target_seconds, followed.elapsed_seconds = 15.0, 3.25
    followed.pictures = {
        0: Picture("first", "done", event=event),
        1: Picture("second", "failed", error=prompt),
    }
    for name, value in job.items():
        setattr(followed, name, value)
    path = Path("out/images/studio-kafka/0-what is #1.png")
    return Asked(Wish(prompt, "Kafka", {"type": "studio"}), followed, images=[(image, path)])


def test_texts_of_others_are_never_markup() -> None:
    """Prompts, labels, titles and errors come from users and providers."""
    page = Page(sheet([an_asked_job(EVIL, error=EVIL)], Path("out"), 12))
    assert "script" not in page.tags
    assert page.text.count(EVIL) >= 4


def test_an_image_says_what_it_is_made_of() -> None:
    """Label, prompt, seed, size, provider and attempt stand under each image."""
    text = Page(sheet([an_asked_job()], Path("out"), 12)).text
    for expected in ("a portrait", "seed 4711", "896×1152", "148 kB", "Fal", "attempt 3"):
        assert expected in text


def test_a_job_says_how_long_it_took_and_what_is_missing() -> None:
    """Measured and target time, the count, and why an image is not there."""
    text = Page(sheet([an_asked_job()], Path("out"), 12)).text
    for expected in ("3.2 s", "target 15 s", "1 of 2", "second", "over Kafka", JOB_ID):
        assert expected in text


def test_a_late_job_is_marked() -> None:
    """The bar shows what took longer than its target."""
    assert 'class="time late"' in sheet([an_asked_job(elapsed_seconds=20.0)], Path("out"), 12)
    assert 'class="time early"' in sheet([an_asked_job()], Path("out"), 12)


def test_a_job_that_waited_for_its_lora_is_late_only_by_its_own_time() -> None:
    waited = an_asked_job(elapsed_seconds=40.0, waited_seconds=36.0)
    page = sheet([waited], Path("out"), 12)
    assert 'class="time early"' in page
    assert "4.0 s measured after a wait of 36 s, target 15 s" in " ".join(Page(page).text.split())
    late = sheet([an_asked_job(elapsed_seconds=60.0, waited_seconds=36.0)], Path("out"), 12)
    assert 'class="time late"' in late


def test_a_training_says_whether_its_lora_is_ready() -> None:
    training = an_asked_job(type="lora_training", requested=1, delivered=1)
    training.images, training.job.pictures = [], {}
    text = Page(sheet([training], Path("out"), 12)).text
    assert "LoRA ready" in text
    assert "1 of 1" not in text


def test_alternative_texts_name_the_picture_and_do_not_repeat_its_prompt() -> None:
    prompt = "golden light " * 20
    asked = an_asked_job(prompt)
    asked.wish = Wish("Mara at the beach", "Kafka", {"type": "studio"})
    [alt] = Page(sheet([asked], Path("out"), 12)).alts
    assert alt == f"Mara at the beach: {asked.images[0][0].label}"
    assert prompt not in alt


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """Images are beside it, with their names quoted; there is no other address in it."""
    links = Page(sheet([an_asked_job()], Path("out"), 12)).links
    assert set(links) == {"images/studio-kafka/0-what%20is%20%231.png", "events.jsonl"}


def test_a_job_without_anything_is_listed() -> None:
    """One that was never answered has no target, no images, no count."""
    silent = Asked(Wish("Silence", "HTTP", {"type": "studio"}), Followed(JOB_ID, "studio"))
    text = Page(sheet([silent], Path("out"), 12)).text
    assert "Silence" in text
    assert "pending" in text


def test_the_sheet_is_written_beside_the_images(tmp_path: Path) -> None:
    """index.html in the folder itself."""
    assert write_sheet([], tmp_path / "new", 1).read_text().startswith("<!doctype html>")
