"""Drift between a provider's inventory and the ledger, for any sets of ids."""

from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, uuid4, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as some

from services.gateways.kit.provider import idempotency_key_of
from services.gateways.runtime.recovery.inventory import JUST_ENDED, Inventory, drift, is_of_our_kind, missing

ASKED = datetime(2030, 1, 1, tzinfo=UTC)
LONG_AGO = ASKED - timedelta(minutes=5)
OURS = [idempotency_key_of(f"attempt/{n}") for n in range(8)]
THEIRS = [str(uuid4()) for _ in range(3)] + ["", "a-b", OURS[0].upper(), OURS[1].replace("-", "")]

ids = some.sets(some.sampled_from(OURS + THEIRS))
our_ids = some.sets(some.sampled_from(OURS))
ends = some.dictionaries(
    some.sampled_from(OURS),
    some.none() | some.integers(-60, 10).map(lambda seconds: ASKED + timedelta(seconds=seconds)),
)


def test_ids_that_both_sides_have_are_no_drift() -> None:
    found = drift(Inventory(frozenset(OURS[:2]), ASKED), OURS[:2], {})
    assert not found.orphans | found.unknown_ids


def test_a_submission_that_is_not_listed_is_missing() -> None:
    assert missing(OURS[:2], Inventory(frozenset(OURS[1:2]), ASKED)) == {OURS[0]}


def test_a_listed_submission_of_an_ended_attempt_is_an_orphan() -> None:
    found = drift(Inventory(frozenset(OURS[:2]), ASKED), [], {OURS[0]: LONG_AGO, OURS[1]: None})
    assert found.orphans == {OURS[0]}
    assert not found.unknown_ids


@pytest.mark.parametrize(
    ("ended", "orphan"), [(JUST_ENDED, True), (JUST_ENDED / 2, False), (-JUST_ENDED, False)]
)
def test_a_submission_of_a_recently_ended_attempt_is_no_orphan_yet(ended: timedelta, orphan: bool) -> None:
    found = drift(Inventory(frozenset(OURS[:1]), ASKED), [], {OURS[0]: ASKED - ended})
    assert bool(found.orphans) == orphan


def test_an_id_of_our_kind_that_no_ledger_has_is_unknown() -> None:
    found = drift(Inventory(frozenset([OURS[0], *THEIRS]), ASKED), [], {})
    assert found.unknown_ids == {OURS[0]}
    assert not found.orphans


def test_our_ids_have_their_own_uuid_version() -> None:
    assert is_of_our_kind(idempotency_key_of("any/0/1"))
    assert is_of_our_kind(str(uuid5(NAMESPACE_URL, "another platform's")))
    assert not any(is_of_our_kind(each) for each in THEIRS)


@given(sent=our_ids, there=ids, known=ends)
def test_each_id_has_one_meaning_and_foreign_ids_have_none(
    sent: set[str], there: set[str], known: dict[str, datetime | None]
) -> None:
    found = drift(Inventory(frozenset(there), ASKED), sent, known)
    kinds = (missing(sent, Inventory(frozenset(there), ASKED)), found.orphans, found.unknown_ids)
    assert sum(map(len, kinds)) == len(frozenset().union(*kinds)), "no id is two things"
    assert not frozenset().union(*kinds) & set(THEIRS)
    assert not (found.orphans | found.unknown_ids) & sent, "what this process holds is polled anyway"
    assert found.orphans | found.unknown_ids <= there


@given(sent=our_ids, there=ids, known=ends)
def test_only_ended_attempts_are_orphans_and_only_ids_without_a_document_are_unknown(
    sent: set[str], there: set[str], known: dict[str, datetime | None]
) -> None:
    found = drift(Inventory(frozenset(there), ASKED), sent, known)
    over = {our_id for our_id, at in known.items() if at is not None and at <= ASKED - JUST_ENDED}
    assert found.orphans == (there - sent) & over
    assert found.unknown_ids == {each for each in there - sent - known.keys() if each in OURS}


@given(sent=our_ids, there=ids, known=ends, more=ids)
def test_more_listed_ids_never_add_missing_ones(
    sent: set[str], there: set[str], known: dict[str, datetime | None], more: set[str]
) -> None:
    less, more_ids = (Inventory(frozenset(each), ASKED) for each in (there, there | more))
    before, after = (
        drift(Inventory(frozenset(there), ASKED), sent, known),
        drift(Inventory(frozenset(there | more), ASKED), sent, known),
    )
    assert missing(sent, more_ids) <= missing(sent, less)
    assert before.orphans <= after.orphans
