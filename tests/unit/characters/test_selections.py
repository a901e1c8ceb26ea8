"""A selection waits until its base image is ready, is checked by timers, and ends with a reason."""

import pytest

from contracts.chains import BaseImageSelected, SelectionDue
from contracts.generation import GenerationRejected
from services.characters.job_images import ImagesByJob
from services.characters.selections import (
    MAX_PENDING,
    PendingSelections,
    UnknownBaseImage,
    advance,
    due_messages,
    refusal,
    selected_character,
)
from tests.fakes.builders import CHARACTER, after
from tests.fakes.characters import FACES, MARA, POLICIES, a_selection, faces

POLICY = POLICIES.selection
OPEN = {FACES: faces(ready=frozenset({0, 2}))}
READY = {FACES: faces()}


def check(seconds: float, selection: BaseImageSelected | None = None) -> SelectionDue:
    """Return a check this many seconds after the start of the wait."""
    selection = selection or a_selection()
    return SelectionDue(
        character_id=CHARACTER,
        tenant="acme",
        chain_id=selection.chain_id,
        selection=selection,
        since=after(0),
        due_at=after(seconds),
    )


def waiting(*selections: BaseImageSelected) -> PendingSelections:
    """Return the document of selections that began to wait at the start."""
    document: PendingSelections | None = None
    for selection in selections or (a_selection(),):
        document, _ = advance(document, selection, at=after(0), trace="t", jobs=OPEN, policy=POLICY)
    assert document is not None
    return document


def checked(
    document: PendingSelections | None, seconds: float, jobs: ImagesByJob = OPEN
) -> PendingSelections:
    after_check, outputs = advance(
        document, check(seconds), at=after(seconds), trace=None, jobs=jobs, policy=POLICY
    )
    assert after_check is not None
    assert outputs == ()
    return after_check


def test_a_selection_whose_image_is_not_ready_waits_and_is_checked_at_once() -> None:
    document = waiting()
    [pending] = document.pending
    assert (pending.selection, pending.since, pending.trace) == (a_selection(), after(0), "t")
    assert pending.wake_at == document.wake_at == after(0)


def test_a_selection_of_a_ready_image_does_not_wait() -> None:
    assert advance(None, a_selection(), at=after(0), trace=None, jobs=READY, policy=POLICY) == (None, ())


def test_a_repeated_selection_waits_once() -> None:
    assert waiting(a_selection(), a_selection()) == waiting()


def test_a_character_has_at_most_twenty_waiting_selections() -> None:
    many = [a_selection(selected_at=after(-n)) for n in range(MAX_PENDING)]
    document = waiting(*many)
    assert len(document.pending) == MAX_PENDING == 20
    with pytest.raises(UnknownBaseImage) as raised:
        waiting(*many, a_selection(selected_at=after(-90)))
    assert raised.value.why == "20 selections of this character wait already"


@pytest.mark.parametrize(
    ("seconds", "pause"), [(0, 0.5), (1, 0.5), (4, 1.0), (20, 5.0), (40, 5.0)], ids=lambda value: f"{value}"
)
def test_the_pause_between_checks_is_a_quarter_of_the_wait_within_its_limits(
    seconds: float, pause: float
) -> None:
    document = checked(waiting(), seconds)
    assert document.pending[0].wake_at == document.wake_at == after(seconds + pause)
    assert (document.pending[0].since, document.pending[0].trace) == (after(0), "t")


def test_a_check_that_is_read_late_delays_the_next_one() -> None:
    document, _ = advance(waiting(), check(4), at=after(30), trace=None, jobs=OPEN, policy=POLICY)
    assert document is not None
    assert document.wake_at == after(31)


def test_a_selection_stops_waiting_when_its_image_is_ready() -> None:
    document = checked(waiting(), 4, READY)
    assert (document.pending, document.wake_at) == ((), None)


def test_the_document_wakes_up_for_the_earliest_check() -> None:
    first, second = a_selection(), a_selection(selected_at=after(-5))
    document = checked(waiting(first, second), 4)
    assert [each.selection for each in document.pending] == [second, first]
    assert document.wake_at == after(0)


def test_a_check_of_a_selection_that_no_longer_waits_changes_nothing() -> None:
    document = checked(waiting(), 4, READY)
    assert checked(document, 5) == document
    assert advance(None, check(4), at=after(4), trace=None, jobs=OPEN, policy=POLICY) == (None, ())


LIMITS: list[tuple[ImagesByJob, bool, float]] = [
    ({}, False, POLICY.unknown_job_seconds),
    ({}, True, POLICY.known_job_seconds),
    (OPEN, False, POLICY.known_job_seconds),
]


@pytest.mark.parametrize(("jobs", "accepted", "limit"), LIMITS, ids=["unknown job", "accepted", "known job"])
def test_the_wait_ends_at_its_limit(jobs: ImagesByJob, accepted: bool, limit: float) -> None:
    selection = a_selection(job_accepted=accepted)
    what = f"image 1 of job {FACES} is not ready" if jobs else f"job {FACES} is not known"
    assert refusal(check(limit - 0.001, selection), jobs, POLICY) is None
    for seconds in (limit, limit + 1):
        assert refusal(check(seconds, selection), jobs, POLICY) == f"{what} after {limit:g} s"


def test_a_ready_image_is_selected_however_long_it_took() -> None:
    assert selected_character(check(99_999), READY, POLICY) == MARA


@pytest.mark.parametrize(("planned", "why"), [(1, "1 images"), (2, None), (None, None)])
def test_an_image_beyond_the_plan_ends_the_wait(planned: int | None, why: str | None) -> None:
    jobs = {FACES: faces(ready=frozenset(), planned=planned)}
    reason = refusal(check(1), jobs, POLICY)
    assert reason == (why and f"job {FACES} has {why}, counted from 0")


def test_a_selection_that_cannot_be_fulfilled_ends_as_a_rejected_sheet() -> None:
    ended = {FACES: faces(ready=frozenset(), ended=True)}
    document, outputs = advance(waiting(), check(4), at=after(4), trace=None, jobs=ended, policy=POLICY)
    assert document is not None
    assert (document.pending, document.wake_at) == ((), None)
    [rejection] = outputs
    assert isinstance(rejection, GenerationRejected)
    sheet = a_selection().sheet
    assert (rejection.job_id, rejection.type) == (sheet.job_id, "character_sheet")
    assert (rejection.requested_at, rejection.character_id) == (after(-1), CHARACTER)
    [reason] = rejection.reasons
    assert (reason.field, reason.message) == ("base_image_id", f"job {FACES} ended without image 1")


def test_a_timer_publishes_the_earliest_checks_only() -> None:
    document = checked(waiting(a_selection(), a_selection(selected_at=after(-5))), 4)
    [(due, trace)] = due_messages(document)
    assert (due.selection.selected_at, due.since, due.due_at, trace) == (after(-5), after(0), after(0), "t")
