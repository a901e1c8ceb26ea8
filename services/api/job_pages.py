"""Pages of jobs: planned and accepted ones in one order, with a cursor for the next page."""

import json
from collections.abc import Sequence

from pydantic import TypeAdapter

from contracts.base import CharacterId, Id, Moment
from contracts.http import JobPage, JobView
from services.api.ports import Position
from shared.http.cursors import decode_cursor, encode_cursor
from shared.http.problems import Refusal

JOB_POSITION: TypeAdapter[Position] = TypeAdapter(tuple[Moment, Id])
CHARACTER_POSITION: TypeAdapter[Position] = TypeAdapter(tuple[Moment, CharacterId])


def cursor_of(position: Position) -> str:
    """Return the cursor of a position, opaque to the caller."""
    text = json.dumps([position[0].isoformat(), position[1]], ensure_ascii=False)
    return encode_cursor(text)


def position_of(cursor: str | None, kind: TypeAdapter[Position] = JOB_POSITION) -> Position | None:
    """Return the position that a cursor contains; None for the first page.

    Raises:
        Refusal: 400 when the cursor is not valid.
    """
    if cursor is None:
        return None
    try:
        return kind.validate_json(decode_cursor(cursor))
    except ValueError:
        raise Refusal(400, "cursor is not valid; use next_cursor of an earlier page") from None


def page(planned: Sequence[JobView], accepted: Sequence[JobView], limit: int) -> JobPage:
    """Merge planned and accepted jobs into one page of at most `limit`, newest first.

    Both lists hold the newest jobs that match the query, newest first, up to `limit + 1` of them. That
    suffices for a page that is full while there is more. A job in both lists counts as planned.
    """
    views = {view.id: view for view in accepted} | {view.id: view for view in planned}
    ordered = sorted(views.values(), key=_position, reverse=True)
    listed = ordered[:limit]
    more = len(ordered) > limit
    return JobPage(jobs=tuple(listed), next_cursor=cursor_of(_position(listed[-1])) if more else None)


def _position(view: JobView) -> Position:
    return view.created, view.id
