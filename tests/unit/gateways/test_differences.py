"""What does not fit between us and a provider, whatever there is."""

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


def test_what_both_have_is_left_alone() -> None:
    found = drift(Inventory(frozenset(OURS[:2]), ASKED), OURS[:2], {})
    assert not found.orphans | found.unknown_ids


def test_what_is_nowhere_any_more_is_looked_at() -> None:
    assert missing(OURS[:2], Inventory(frozenset(OURS[1:2]), ASKED)) == {OURS[0]}


def test_what_has_ended_for_us_and_runs_is_an_orphan() -> None:
    found = drift(Inventory(frozenset(OURS[:2]), ASKED), [], {OURS[0]: LONG_AGO, OURS[1]: None})
    assert found.orphans == {OURS[0]}
    assert not found.unknown_ids


@pytest.mark.parametrize(
    ("ended", "orphan"), [(JUST_ENDED, True), (JUST_ENDED / 2, False), (-JUST_ENDED, False)]
)
def test_what_has_only_just_ended_may_be_on_its_way_out(ended: timedelta, orphan: bool) -> None:
    found = drift(Inventory(frozenset(OURS[:1]), ASKED), [], {OURS[0]: ASKED - ended})
    assert bool(found.orphans) == orphan


def test_what_no_ledger_knows_is_a_stranger_if_its_id_could_be_ours() -> None:
    found = drift(Inventory(frozenset([OURS[0], *THEIRS]), ASKED), [], {})
    assert found.unknown_ids == {OURS[0]}
    assert not found.orphans


def test_ids_of_ours_have_their_own_version() -> None:
    assert is_of_our_kind(idempotency_key_of("any/0/1"))
    assert is_of_our_kind(str(uuid5(NAMESPACE_URL, "another platform's")))
    assert not any(is_of_our_kind(each) for each in THEIRS)


@given(sent=our_ids, there=ids, known=ends)
def test_each_id_has_one_meaning_and_what_is_not_ours_has_none(
    sent: set[str], there: set[str], known: dict[str, datetime | None]
) -> None:
    found = drift(Inventory(frozenset(there), ASKED), sent, known)
    kinds = (missing(sent, Inventory(frozenset(there), ASKED)), found.orphans, found.unknown_ids)
    assert sum(map(len, kinds)) == len(frozenset().union(*kinds)), "no id is two things"
    assert not frozenset().union(*kinds) & set(THEIRS)
    assert not (found.orphans | found.unknown_ids) & sent, "what this process holds is polled anyway"
    assert found.orphans | found.unknown_ids <= there


@given(sent=our_ids, there=ids, known=ends)
def test_only_what_has_an_end_is_ever_stopped_and_only_what_has_no_entry_is_strange(
    sent: set[str], there: set[str], known: dict[str, datetime | None]
) -> None:
    found = drift(Inventory(frozenset(there), ASKED), sent, known)
    over = {our_id for our_id, at in known.items() if at is not None and at <= ASKED - JUST_ENDED}
    assert found.orphans == (there - sent) & over
    assert found.unknown_ids == {each for each in there - sent - known.keys() if each in OURS}


@given(sent=our_ids, there=ids, known=ends, more=ids)
def test_the_more_the_provider_has_the_less_is_gone(
    sent: set[str], there: set[str], known: dict[str, datetime | None], more: set[str]
) -> None:
    less, more_ids = (Inventory(frozenset(each), ASKED) for each in (there, there | more))
    before, after = (
        drift(Inventory(frozenset(there), ASKED), sent, known),
        drift(Inventory(frozenset(there | more), ASKED), sent, known),
    )
    assert missing(sent, more_ids) <= missing(sent, less)
    assert before.orphans <= after.orphans
