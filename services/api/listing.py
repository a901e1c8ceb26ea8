"""Pages of jobs: planned ones and accepted ones in one order, with a cursor that says where to go on."""

import base64
import json
from collections.abc import Sequence
from datetime import datetime

from pydantic import TypeAdapter

from contracts.base import Id, Moment
from contracts.http import JobPage, JobView
from services.api.ports import Place

_PLACE: TypeAdapter[tuple[datetime, str]] = TypeAdapter(tuple[Moment, Id])


class BadCursor(ValueError):
    """Not a cursor of ours."""


def cursor_of(place: Place) -> str:
    """Opaque to the caller."""
    text = json.dumps([place[0].isoformat(), place[1]])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def place_of(cursor: str) -> Place:
    """Where a cursor points.

    Raises:
        BadCursor: when it is not one of ours.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return _PLACE.validate_json(base64.b64decode(padded, altchars=b"-_", validate=True))
    except ValueError as error:
        raise BadCursor(cursor) from error


def page(planned: Sequence[JobView], accepted: Sequence[JobView], limit: int, *, gone: set[str]) -> JobPage:
    """Merge two pages of at most `limit`, each newest first.

    `gone` are accepted ones that are planned meanwhile: they are listed, or not, as planned ones.
    A page that came full may go on below its last job, so nothing below that is listed yet.
    """
    full = [_place(views[-1]) for views in (planned, accepted) if len(views) == limit]
    bound = max(full, default=None)
    views = {view.id: view for view in accepted if view.id not in gone} | {view.id: view for view in planned}
    ordered = sorted(views.values(), key=_place, reverse=True)
    listed = [view for view in ordered if bound is None or _place(view) >= bound]
    if len(listed) > limit:
        bound = _place(listed[limit - 1])
    return JobPage(jobs=tuple(listed[:limit]), next_cursor=cursor_of(bound) if bound else None)


def _place(view: JobView) -> Place:
    return view.created, view.id
