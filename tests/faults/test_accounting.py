"""The accounting finds every wrong account and accepts a right one."""

from dataclasses import replace

import pytest

from tests.faults.accounting import (
    TAKEN,
    Account,
    Entry,
    Sent,
    Submission,
    discrepancies,
    packed,
    together,
    unpacked,
)

FIRST, SECOND = "job/0/1", "job/0/2"
ENTRY = Entry(FIRST, "our-1", "succeeded", "yes", 1, "theirs-1")
FAILED = Entry(FIRST, "our-1", "failed", "unknown", 1)
RIGHT = Account((ENTRY,), (Submission("theirs-1", "our-1"),), (Sent(FIRST, TAKEN),))
AGAIN = Account(
    (FAILED, Entry(SECOND, "our-2", "succeeded", "yes", 1, "theirs-2")),
    (Submission("theirs-1", "our-1"), Submission("theirs-2", "our-2")),
    (Sent(FIRST, "OutcomeUnknown"), Sent(SECOND, TAKEN)),
)


@pytest.mark.parametrize(
    "account",
    [
        Account(),
        RIGHT,
        AGAIN,
        Account((replace(FAILED, billed="no"),), (), (Sent(FIRST, "Refused"),)),
        Account((replace(ENTRY, submissions=2),), RIGHT.taken, (Sent(FIRST, "NotTaken"), Sent(FIRST, TAKEN))),
    ],
)
def test_an_account_that_adds_up_has_no_problems(account: Account) -> None:
    assert discrepancies(account) == []
    assert unpacked(packed(account)) == account


@pytest.mark.parametrize(
    ("account", "said"),
    [
        (replace(RIGHT, entries=()), "submission theirs-1 is of 0 ledger entries"),
        (replace(RIGHT, entries=(ENTRY, ENTRY)), "attempt job/0/1 has 2 ledger entries"),
        (
            replace(RIGHT, entries=(ENTRY, replace(ENTRY, attempt_id="job/1/1", submissions=0))),
            "submission theirs-1 is of 2 ledger entries",
        ),
        (replace(RIGHT, taken=(*RIGHT.taken, Submission("theirs-9", None))), "theirs-9 is of 0 ledger"),
        (replace(AGAIN, taken=(Submission("x", "our-1"), Submission("x", "our-2"))), "x is of our-2 and of"),
        (replace(RIGHT, taken=()), "attempt job/0/1 is billed and was never taken"),
        (replace(RIGHT, entries=(replace(ENTRY, external_id="theirs-2"),)), "theirs-2, which is not its own"),
        (replace(RIGHT, entries=(replace(ENTRY, submissions=2),)), "was sent 1 times and counts 2"),
        (replace(RIGHT, taken=RIGHT.taken * 2), "was taken more often than it was sent"),
        (replace(RIGHT, sent=(*RIGHT.sent, Sent("job/7/1", "Refused"))), "job/7/1 was sent and is in no"),
        (
            replace(RIGHT, entries=(replace(ENTRY, submissions=2),), sent=RIGHT.sent * 2),
            "attempt job/0/1 was sent although job/0/1 was taken",
        ),
        (
            replace(AGAIN, entries=(replace(FAILED, state="unknown"), AGAIN.entries[1])),
            "attempt job/0/2 was sent although job/0/1 was OutcomeUnknown",
        ),
    ],
)
def test_an_account_that_does_not_add_up_names_the_problem(account: Account, said: str) -> None:
    assert any(said in discrepancy for discrepancy in discrepancies(account)), discrepancies(account)


def test_rows_that_are_right_alone_may_be_wrong_together() -> None:
    assert discrepancies(together([RIGHT, AGAIN])) != []
