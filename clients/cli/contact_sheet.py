"""HTML page with all jobs of a demo: request, duration, images. All texts are escaped."""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from urllib.parse import quote

from clients.cli.demo_jobs import DemoJob
from clients.cli.job_progress import ImageProgress
from clients.cli.progress_display import delivered_of
from clients.cli.wording import TYPE_NAMES
from contracts.http import ResultImage

WAYS = {"Kafka": "requested over Kafka, as another service would publish them", "HTTP": "over HTTP"}
PROVIDERS = {"modal": "Modal", "comfyui": "ComfyUI", "fal": "Fal"}


class Markup(str):
    """Text that is HTML and is inserted unescaped."""

    __slots__ = ()


def write_sheet(jobs: Sequence[DemoJob], folder: Path, seconds: float) -> Path:
    """Write index.html to the folder of the images and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "index.html"
    page.write_text(sheet(jobs, folder, seconds), encoding="utf-8")
    return page


def sheet(jobs: Sequence[DemoJob], folder: Path, seconds: float) -> str:
    """Return the page. Links to images are relative to `folder`."""
    images = [image for job in jobs for image, _ in job.images]
    return _fill(
        "page",
        jobs=len(jobs),
        images=len(images),
        seconds=f"{seconds:.0f}",
        providers=Markup(_tags(Counter(image.provider for image in images))),
        transports=_transports(jobs),
        sections=Markup("".join(_section(job, folder) for job in jobs)),
    )


def _transports(jobs: Sequence[DemoJob]) -> str:
    """Return the number of jobs by the way on which their requests came."""
    counts = Counter(job.request.transport for job in jobs)
    return ", ".join(f"{count} {WAYS[transport]}" for transport, count in counts.items()) + "."


def _section(job: DemoJob, folder: Path) -> str:
    progress = job.progress
    target = progress.target_seconds
    return _fill(
        "job",
        title=job.request.title,
        type=TYPE_NAMES[progress.type],
        transport=job.request.transport,
        job_id=progress.job_id,
        status=progress.status,
        error=progress.error or "",
        delivered=delivered_of(progress),
        measured=f"{progress.counted_seconds:.1f}",
        waited=f" after waiting {progress.waited_seconds:.0f} s" if progress.waited_seconds else "",
        target=f"{target:g}" if target else "?",
        pace="late" if target and progress.counted_seconds > target else "early",
        share=f"{min(100.0, 100 * progress.counted_seconds / target):.0f}" if target else "0",
        providers=Markup(_tags(Counter(image.provider for image, _ in job.images))),
        images=Markup("".join(_images(job, folder))),
    )


def _images(job: DemoJob, folder: Path) -> Iterable[str]:
    images = job.progress.images
    for image, path in job.images:
        relative = path.relative_to(folder).as_posix()
        yield _image(job.request.title, image, relative, images.get(image.index, ImageProgress()))
    for lora in job.loras:
        yield _fill(
            "lora",
            trigger_word=lora.trigger_word,
            base_model=lora.base_model,
            size=_size(lora.bytes),
            sha256=lora.sha256[:16],
            steps=lora.steps or "?",
            provider=lora.provider,
            provider_name=PROVIDERS[lora.provider],
        )
    for failed in images.values():
        if failed.state == "failed":
            yield _fill("missing", label=failed.label, error=failed.error or "no image")


def _image(title: str, image: ResultImage, path: str, progress: ImageProgress) -> str:
    stored = progress.event.stored if progress.event else None
    return _fill(
        "image",
        path=quote(path),
        title=title,
        label=image.label,
        prompt=image.prompt,
        seed="unknown" if image.seed is None else image.seed,
        width=image.width,
        height=image.height,
        size=_size(image.bytes),
        provider=image.provider,
        provider_name=PROVIDERS[image.provider],
        attempt=stored.attempt if stored else "?",
    )


def _size(count: int) -> str:
    return f"{count / 1000:.0f} kB" if count >= 10_000 else f"{count:,} bytes"


def _tags(counts: Counter[str]) -> str:
    return "".join(
        _fill("provider", provider=name, name=PROVIDERS[name], count=count)
        for name, count in sorted(counts.items())
    )


def _fill(template: str, **values: object) -> str:
    texts = {
        name: value if isinstance(value, Markup) else escape(str(value)) for name, value in values.items()
    }
    return _template(template).substitute(texts)


def _template(name: str) -> Template:
    text = files("clients.cli").joinpath("contact_sheet.html").read_text(encoding="utf-8")
    _, _, rest = text.partition(f"<!-- template: {name} -->\n")
    return Template(rest.partition("<!-- template: ")[0])
