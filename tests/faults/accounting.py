"""Do the ledger, the provider's books and what was sent add up? Over one row, or over all together."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

TAKEN = "taken"


@dataclass(frozen=True)
class Entry:
    """One attempt in the ledger. `name` is what the provider was to know it by."""

    attempt_id: str
    name: str
    state: str
    billed: str
    submissions: int
    external_id: str | None = None


@dataclass(frozen=True)
class Submission:
    """One line in the provider's books: its own id, and the name that came with it."""

    id: str
    name: str | None


@dataclass(frozen=True)
class Sent:
    """One submission as the adapter saw it: `outcome` is TAKEN or the error's name."""

    attempt_id: str
    outcome: str
    at: float = 0.0


@dataclass(frozen=True)
class Account:
    """`sent` is in the order of sending."""

    entries: tuple[Entry, ...] = ()
    taken: tuple[Submission, ...] = ()
    sent: tuple[Sent, ...] = ()

    def of_render(self, render_id: str) -> "Account":
        """The part of one render."""
        entries = tuple(entry for entry in self.entries if _render_of(entry.attempt_id) == render_id)
        names = {entry.name for entry in entries}
        return Account(
            entries,
            tuple(submission for submission in self.taken if submission.name in names),
            tuple(sent for sent in self.sent if _render_of(sent.attempt_id) == render_id),
        )


def together(accounts: Iterable[Account]) -> Account:
    """One account of all."""
    parts = list(accounts)
    return Account(
        tuple(entry for part in parts for entry in part.entries),
        tuple(submission for part in parts for submission in part.taken),
        tuple(sent for part in parts for sent in part.sent),
    )


def discrepancies(account: Account) -> list[str]:
    """Whatever does not add up, in words."""
    return [*_unowned(account), *_unearned(account), *_uncounted(account), *_sent_again(account)]


def _unowned(account: Account) -> Iterator[str]:
    """Every submission at the provider is of exactly one entry, by attempt id."""
    named = Counter(entry.name for entry in account.entries)
    owners: dict[str, str | None] = {}
    for submission in account.taken:
        if named[submission.name or ""] != 1:
            yield f"submission {submission.id} is of {named[submission.name or '']} ledger entries"
        if owners.setdefault(submission.id, submission.name) != submission.name:
            yield f"submission {submission.id} is of {submission.name} and of another"
    for attempt_id, count in Counter(entry.attempt_id for entry in account.entries).items():
        if count > 1:
            yield f"attempt {attempt_id} has {count} ledger entries"


def _unearned(account: Account) -> Iterator[str]:
    """An entry without a submission is billed `no` or `unknown`, and names nothing that was not taken."""
    owners = {submission.id: submission.name for submission in account.taken}
    names = set(owners.values())
    for entry in account.entries:
        if entry.billed == "yes" and entry.name not in names:
            yield f"attempt {entry.attempt_id} is billed and was never taken"
        if entry.external_id is not None and owners.get(entry.external_id) != entry.name:
            yield f"attempt {entry.attempt_id} names {entry.external_id}, which is not its own"


def _uncounted(account: Account) -> Iterator[str]:
    """The ledger counts what was sent, and the provider took no more than that."""
    sent = Counter(each.attempt_id for each in account.sent)
    taken = Counter(submission.name for submission in account.taken)
    for entry in account.entries:
        if (count := sent[entry.attempt_id]) != entry.submissions:
            yield f"attempt {entry.attempt_id} was sent {count} times and counts {entry.submissions}"
        if taken[entry.name] > entry.submissions:
            yield f"attempt {entry.attempt_id} was taken more often than it was sent"
    for unknown in set(sent) - {entry.attempt_id for entry in account.entries}:
        yield f"attempt {unknown} was sent and is in no ledger"


def _sent_again(account: Account) -> Iterator[str]:
    """A second submission of a render comes after an unknown outcome or a failure, never after success."""
    failed = {entry.attempt_id for entry in account.entries if entry.state == "failed"}
    last: dict[str, Sent] = {}
    for sent in account.sent:
        before = last.get(_render_of(sent.attempt_id))
        last[_render_of(sent.attempt_id)] = sent
        if before is None or (before.outcome != TAKEN and before.attempt_id == sent.attempt_id):
            continue
        if before.attempt_id == sent.attempt_id or before.attempt_id not in failed:
            yield f"attempt {sent.attempt_id} was sent although {before.attempt_id} was {before.outcome}"


def _render_of(attempt_id: str) -> str:
    return attempt_id.rpartition("/")[0]


def packed(account: Account) -> dict[str, Any]:
    """As plain values, which travel between processes."""
    return {name: [asdict(each) for each in getattr(account, name)] for name in ("entries", "taken", "sent")}


def unpacked(values: dict[str, Any]) -> Account:
    """The account again."""
    return Account(
        tuple(Entry(**each) for each in values["entries"]),
        tuple(Submission(**each) for each in values["taken"]),
        tuple(Sent(**each) for each in values["sent"]),
    )
