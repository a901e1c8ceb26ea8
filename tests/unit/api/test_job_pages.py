"""Pages of planned and accepted jobs: complete, in order, each job once."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.http import JobView
from services.api.job_pages import CHARACTER_POSITION, cursor_of, page, position_of
from shared.http.problems import Refusal
from shared.ids import uuid7
from tests.fakes.jobs import START

IDS = [uuid7() for _ in range(12)]


def a_view(job_id: str, second: int, status: str) -> JobView:
    return JobView.model_validate(
        {
            "id": job_id,
            "type": "studio",
            "user_id": "ann",
            "status": status,
            "phase": None,
            "requested": 1,
            "delivered": 0,
            "failed": 0,
            "elapsed_seconds": 0,
            "created": START + timedelta(seconds=second),
        }
    )


def test_a_cursor_is_decoded_to_its_position() -> None:
    place = (START, IDS[0])
    assert position_of(cursor_of(place)) == place


@pytest.mark.parametrize("text", ["", "x", "é", "W10", "bnVsbA", "====", "a" * 1000])
def test_an_invalid_cursor_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        position_of(text)
    assert refused.value.status == 400


@pytest.mark.parametrize("character_id", ["char-123", "auth0|5f7c", "\N{GRINNING FACE}" * 128, "a" * 128])
def test_a_cursor_of_a_character_is_decoded_for_any_id(character_id: str) -> None:
    cursor = cursor_of((START, character_id))
    assert len(cursor) <= 1000, "the longest that the query takes"
    assert position_of(cursor, CHARACTER_POSITION) == (START, character_id)


KINDS = st.sampled_from(["planned", "accepted", "both"])


@given(jobs=st.lists(st.tuples(st.integers(0, 3), KINDS), max_size=12), limit=st.integers(1, 5))
def test_all_pages_are_full_but_the_last_and_together_are_all_jobs_in_order(
    jobs: list[tuple[int, str]], limit: int
) -> None:
    known = [(job_id, second, kind) for job_id, (second, kind) in zip(IDS, jobs, strict=False)]
    planned = [a_view(job_id, second, "running") for job_id, second, kind in known if kind != "accepted"]
    accepted = [a_view(job_id, second, "pending") for job_id, second, kind in known if kind != "planned"]
    seen: list[JobView] = []
    before = None
    while True:
        found = page(_newest(planned, before, limit + 1), _newest(accepted, before, limit + 1), limit)
        seen += found.jobs
        if found.next_cursor is None:
            break
        assert len(found.jobs) == limit
        before = position_of(found.next_cursor)
    exists = {view.id for view in planned}
    unplanned = [view for view in accepted if view.id not in exists]
    assert seen == _newest([*planned, *unplanned], None, 100)


def _newest(views: list[JobView], before: object, limit: int) -> list[JobView]:
    found = [view for view in views if before is None or (view.created, view.id) < before]  # type: ignore[operator]
    return sorted(found, key=lambda view: (view.created, view.id), reverse=True)[:limit]
