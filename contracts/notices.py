"""Notices: facts that callers are told beside results and errors."""

from contracts.base import Line, Model


class Notice(Model):
    """Something that callers should know although nothing failed."""

    code: Line
    """`outputs_dropped`: a run makes, or made, more images than are delivered. `same_picture`: images of
    the job ask a workflow for the same picture. `same_file`: images came out as the same file."""
    message: str
    images: tuple[int, ...] = ()
    """Indexes of the images that it is about."""
