"""Pages of jobs: planned and accepted ones in one order, with a cursor for the next page."""

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
    """A cursor that this service did not make."""


def cursor_of(place: Place) -> str:
    """Return the cursor of a place, opaque to the caller."""
    text = json.dumps([place[0].isoformat(), place[1]])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def place_of(cursor: str) -> Place:
    """Return the place that a cursor points to.

    Raises:
        BadCursor: when this service did not make it.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return _PLACE.validate_json(base64.b64decode(padded, altchars=b"-_", validate=True))
    except ValueError as error:
        raise BadCursor(cursor) from error


def page(planned: Sequence[JobView], accepted: Sequence[JobView], limit: int) -> JobPage:
    """Merge planned and accepted jobs into one page of at most `limit`, newest first.

    Both lists hold the newest jobs that match the query, newest first, up to `limit + 1` of them. That
    suffices for a page that is full while there is more. A job in both lists counts as planned.
    """
    views = {view.id: view for view in accepted} | {view.id: view for view in planned}
    ordered = sorted(views.values(), key=_place, reverse=True)
    listed = ordered[:limit]
    more = len(ordered) > limit
    return JobPage(jobs=tuple(listed), next_cursor=cursor_of(_place(listed[-1])) if more else None)


def _place(view: JobView) -> Place:
    return view.created, view.id
