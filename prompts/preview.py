"""Preview of the prompts of a request. Nothing is submitted."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from contracts.generation import Reason
from prompts.adults import NotAnAdult
from prompts.budget import tokens
from prompts.catalogue import Catalogue, default_catalogue
from prompts.checks import rejection_reasons
from prompts.dialects import MAX_WORDS, WINDOW, WINDOWS, strip_weights
from prompts.renders import Image, ImageRequest, images_of
from prompts.wording import word_count

NO_JOB: Final = "00000000-0000-0000-0000-000000000000"
"""Job id for the seeds of a preview without a job id and a seed."""


class RequestRejected(ValueError):
    """The request would be rejected. The text names each field."""

    def __init__(self, reasons: Sequence[Reason]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("; ".join(f"{reason.field}: {reason.message}" for reason in reasons))


def preview(
    request: ImageRequest, job_id: str = NO_JOB, catalogue: Catalogue | None = None
) -> tuple[Image, ...]:
    """Return the images of a request that describes its character inline.

    Raises:
        RequestRejected: if the request would be rejected.
    """
    known = catalogue or default_catalogue()
    if reasons := rejection_reasons(request, request.character, known):
        raise RequestRejected(reasons)
    assert request.character is not None, "a missing character is a reason"
    try:
        return images_of(job_id, request, request.character, known)
    except NotAnAdult as error:
        raise RequestRejected([Reason(field="request", message=str(error))]) from None


def as_text(images: Sequence[Image]) -> str:
    """Format images as text: one line for each text that is sent or cut."""
    return "\n\n".join("\n".join(_lines(image)) for image in images)


def as_json(image: Image) -> dict[str, Any]:
    """Convert an image to JSON: its render, and the parts that were left out of its prompts."""
    left_out = {name: getattr(image.prompt, name) for name in ("removed", "cut", "cut_tags")}
    return image.spec.model_dump(mode="json") | left_out


def _lines(image: Image) -> Iterator[str]:
    spec, prompt = image.spec, image.prompt
    yield f"{spec.index}  {spec.label}: {spec.width} x {spec.height}, seed {spec.seed}"
    yield _line("prose", spec.prompt, f"{word_count(spec.prompt)} of {MAX_WORDS} words")
    if spec.tag_prompt:
        count = tokens(strip_weights(spec.tag_prompt))
        yield _line("tags", spec.tag_prompt, f"about {count} of {WINDOW * WINDOWS} tokens")
    yield _line("negative", spec.negative_prompt)
    notes = {
        "caption": spec.caption,
        "removed": ", ".join(prompt.removed),
        "cut from prose": ", ".join(prompt.cut),
        "cut from tags": ", ".join(prompt.cut_tags),
    }
    yield from (_line(name, text) for name, text in notes.items() if text)


def _line(name: str, text: str, size: str = "") -> str:
    return f"   {name}{f' ({size})' if size else ''}: {text}"
