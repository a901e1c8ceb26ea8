"""All jobs of a run on one page: what was asked, how long it took, what came. Texts are escaped."""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from urllib.parse import quote

from clients.cli.demo_run import Asked
from clients.cli.following import Picture
from clients.cli.progress import NAMES, delivered_of
from contracts.http import ResultImage

PROVIDERS = {"modal": "Modal", "comfyui": "ComfyUI", "fal": "Fal"}


class Markup(str):
    """HTML already; everything else is escaped when it is filled in."""

    __slots__ = ()


def write_sheet(asked: Sequence[Asked], folder: Path, seconds: float) -> Path:
    """Write index.html beside the images, and say where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "index.html"
    page.write_text(sheet(asked, folder, seconds), encoding="utf-8")
    return page


def sheet(asked: Sequence[Asked], folder: Path, seconds: float) -> str:
    """The page; images are named relative to `folder`."""
    images = [image for each in asked for image, _ in each.images]
    return _fill(
        "page",
        jobs=len(asked),
        images=len(images),
        seconds=f"{seconds:.0f}",
        providers=Markup(_tags(Counter(image.provider for image in images))),
        sections=Markup("".join(_section(each, folder) for each in asked)),
    )


def _section(asked: Asked, folder: Path) -> str:
    job = asked.job
    target = job.target_seconds
    return _fill(
        "job",
        title=asked.wish.title,
        type=NAMES[job.type],
        way=f"{asked.wish.way}",
        job_id=job.job_id,
        status=job.status,
        error=job.error or "",
        delivered=delivered_of(job),
        measured=f"{job.own_seconds:.1f}",
        waited=f" after a wait of {job.waited_seconds:.0f} s" if job.waited_seconds else "",
        target=f"{target:g}" if target else "?",
        pace="late" if target and job.own_seconds > target else "early",
        share=f"{min(100.0, 100 * job.own_seconds / target):.0f}" if target else "0",
        providers=Markup(_tags(Counter(image.provider for image, _ in asked.images))),
        images=Markup("".join(_images(asked, folder))),
    )


def _images(asked: Asked, folder: Path) -> Iterable[str]:
    pictures = asked.job.pictures
    for image, path in asked.images:
        yield _image(
            asked.wish.title, image, path.relative_to(folder).as_posix(), pictures.get(image.index, Picture())
        )
    for lora in asked.loras:
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
    for picture in pictures.values():
        if picture.state == "failed":
            yield _fill("missing", label=picture.label, error=picture.error or "no image")


def _image(title: str, image: ResultImage, path: str, picture: Picture) -> str:
    stored = picture.event.stored if picture.event else None
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
