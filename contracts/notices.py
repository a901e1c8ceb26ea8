"""Notices to callers that are neither results nor errors."""

from contracts.base import Line, Model


class Notice(Model):
    """A fact that callers should know although nothing failed."""

    code: Line
    """`outputs_dropped`: a run makes or made more images than are delivered. `same_picture`: images of the
    job would run a workflow with the same values. `same_file`: images turned out as the same file."""
    message: str
    images: tuple[int, ...] = ()
    """Indexes of the affected images."""
