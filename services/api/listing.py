"""Pages of jobs: planned and accepted ones in one order, with a cursor for the next page."""

import base64
import json
from collections.abc import Sequence

from pydantic import TypeAdapter

from contracts.base import CharacterId, Id, Moment
from contracts.http import JobPage, JobView
from services.api.ports import Place
from shared.http.problems import Refusal

PLACE_OF_JOB: TypeAdapter[Place] = TypeAdapter(tuple[Moment, Id])
PLACE_OF_CHARACTER: TypeAdapter[Place] = TypeAdapter(tuple[Moment, CharacterId])


def cursor_of(place: Place) -> str:
    """Return the cursor of a place, opaque to the caller."""
    text = json.dumps([place[0].isoformat(), place[1]], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def place_of(cursor: str | None, kind: TypeAdapter[Place] = PLACE_OF_JOB) -> Place | None:
    """Return the place that a cursor points to; None for the first page.

    Raises:
        Refusal: 400 when this service did not make it.
    """
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return kind.validate_json(base64.b64decode(padded, altchars=b"-_", validate=True))
    except ValueError:
        raise Refusal(400, "cursor: not one that this service gave out") from None


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
