"""Notices to callers that are neither results nor errors."""

from collections.abc import Iterable

from contracts.base import Line, Model


class Notice(Model):
    """A fact that callers should know although nothing failed."""

    code: Line
    """`outputs_dropped`: a run makes or made more images than are delivered. `same_picture`: images of the
    job would run a workflow with the same values. `same_file`: images turned out as the same file."""
    message: str
    images: tuple[int, ...] = ()
    """Indexes of the affected images."""


def joined(earlier: Iterable[Notice], new: Iterable[Notice]) -> tuple[Notice, ...]:
    """Return the notices of a job after another of its images.

    The same words about several images become one notice that names all of them. A notice takes the place
    of earlier ones with its code whose images it names too: the actual outcome replaces the prediction.
    """
    found = list(earlier)
    for notice in new:
        same = [each for each in found if (each.code, each.message) == (notice.code, notice.message)]
        images = {index for each in (*same, notice) for index in each.images}
        whole = notice.model_copy(update={"images": tuple(sorted(images))})
        found = [each for each in found if each not in same and not _is_covered(each, whole)]
        found.append(whole)
    return tuple(found)


def _is_covered(notice: Notice, later: Notice) -> bool:
    return notice.code == later.code and bool(notice.images) and set(notice.images) <= set(later.images)
