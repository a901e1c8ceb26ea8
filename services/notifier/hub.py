"""Every event of every job → the connections of this process that wait for it."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from contracts.jobs import JobEvent
from services.notifier.mailbox import Mailbox
from shared.envelope import Received

Interest = tuple[str, ...]
"""`(job_id,)` or `(tenant, user_id)`."""


class Hub:
    """Hands events to open connections."""

    def __init__(self) -> None:
        self._open: dict[Interest, set[Mailbox]] = defaultdict(set)

    def join(self, interest: Interest) -> Mailbox:
        """A mailbox for one job's events, or for one user's."""
        mailbox = Mailbox()
        self._open[interest].add(mailbox)
        return mailbox

    def leave(self, interest: Interest, mailbox: Mailbox) -> None:
        """The connection has ended."""
        self._open[interest].discard(mailbox)
        if not self._open[interest]:
            del self._open[interest]

    def deliver(self, batch: Sequence[Received[Any]]) -> None:
        """Hand on a batch."""
        for received in batch:
            event: JobEvent = received.message
            for interest in ((event.job_id,), (event.tenant, event.user_id)):
                for mailbox in self._open.get(interest, ()):
                    mailbox.put(event)

    def all_behind(self) -> None:
        """Events may be missing: let every connection look at the documents."""
        for mailbox in self._all():
            mailbox.fall_behind()

    def close(self) -> None:
        """Let every connection end; clients come again and go on where they were."""
        for mailbox in self._all():
            mailbox.close()

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> list[Mailbox]:
        return [mailbox for mailboxes in self._open.values() for mailbox in mailboxes]
