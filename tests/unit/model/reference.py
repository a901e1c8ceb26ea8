"""Reference model of jobs and attempts: small enough to be obviously right.

It observes the messages of the services in the same order, and does not know how they store state.
"""

from datetime import datetime

from contracts.base import Message
from contracts.generation import GenerationCancel, GenerationPlanned, GenerationRejected
from contracts.jobs import JobDue
from contracts.renders import RenderFailed, ResultStored
from tests.fakes.builders import DEADLINE_SECONDS

MOST_ATTEMPTS = 4
LONGEST_PAUSE = 3.75
"""Before a retry. A failure so near the deadline may be the last one, or not."""


class ReferenceJob:
    """One job of tenant acme. Times are seconds since its request."""

    def __init__(self) -> None:
        self.images = 0
        self.planned = self.rejected = self.cancelled = self.late = self.perhaps_late = False
        self.calls: set[datetime] = set()
        self.stored: set[int] = set()
        self.failed: set[tuple[int, int]] = set()
        self.given_up: set[int] = set()
        self.perhaps_given_up: set[int] = set()
        self.end: str | None = None
        """End of the job; it observes nothing after it."""

    def hear(self, message: Message, now: float) -> None:
        """Ids of observed messages: a repeated message changes nothing."""
        if self.end:
            return
        match message:
            case GenerationCancel():
                self.cancelled |= message.tenant == "acme"
            case GenerationRejected() if not self.planned:
                self.rejected = True
            case GenerationPlanned() if not (self.planned or self.rejected):
                self.planned, self.images = True, len(message.renders)
                self.late = now >= DEADLINE_SECONDS
            case JobDue() if self.planned and message.due_at in self.calls:  # it may be remembered, or not
                self.perhaps_late |= now >= DEADLINE_SECONDS
            case JobDue() if self.planned:
                self.calls.add(message.due_at)
                self.late |= now >= DEADLINE_SECONDS
            case ResultStored() if not message.duplicate:
                self.stored.add(_place(message.attempt_id)[0])
            case RenderFailed():
                self._hear_failure(message, now)

    def _hear_failure(self, failure: RenderFailed, now: float) -> None:
        index, n = _place(failure.attempt_id)
        if (index, n) in self.failed or index in self.stored:
            return
        self.failed.add((index, n))
        paid_perhaps = failure.code == "outcome_unknown" and not failure.retryable
        if failure.code == "nsfw" or n == MOST_ATTEMPTS or paid_perhaps:
            self.given_up.add(index)
        elif now + LONGEST_PAUSE >= DEADLINE_SECONDS:
            self.perhaps_given_up.add(index)

    def ends(self, *, perhaps: bool) -> set[str]:
        """How it ends now; with `perhaps`, how it may. Empty: it goes on."""
        if self.rejected:
            return {"rejected"}
        if not self.planned:
            return set()
        if self.cancelled:
            return {"cancelled"}
        enough = 2 * len(self.stored) >= self.images
        ends = set()
        if self.late or (perhaps and self.perhaps_late):
            ends.add("completed" if enough else "deadline_exceeded")
        settled = self.stored | self.given_up | (self.perhaps_given_up if perhaps else set())
        if len(settled) == self.images:
            ends.add("completed" if enough else "too_few_images" if self.stored else "provider_failed")
        return ends

    def may_be_tried(self, index: int, n: int) -> bool:
        """Return whether the n-th attempt of a render may be commanded: a first one, or after a failure."""
        wanted = self.planned and not self.end and index not in self.stored | self.given_up
        return wanted and n <= MOST_ATTEMPTS and (n == 1 or (index, n - 1) in self.failed)


class ReferenceSubmissions:
    """Submissions that may be sent to providers, which bill what they accept."""

    def __init__(self) -> None:
        self.taken: set[str] = set()
        """Attempts that a provider has, or that are on their way to it."""
        self.failed: set[str] = set()
        self.called_off: set[str] = set()

    def may_be_sent(self, attempt_id: str) -> bool:
        """Not what its provider has, nor what nobody wants, nor a next try without a failure before it."""
        render, _, n = attempt_id.rpartition("/")
        first = n == "1" or f"{render}/{int(n) - 1}" in self.failed
        return first and attempt_id not in self.taken | self.called_off


def _place(attempt_id: str) -> tuple[int, int]:
    _, index, n = attempt_id.split("/")
    return int(index), int(n)
