"""What a simulated provider accepted, in order: tests count here that nothing was started twice."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

State = Literal["queued", "running", "succeeded", "failed", "cancelled", "lost"]


@dataclass
class Submission:
    """One accepted submit. `id` is the provider's, `our_id` the one that the caller put in."""

    n: int
    id: str
    our_id: str | None
    at: str
    prompt: str
    input: Any
    state: State = "queued"
    asked: int = 1
    """How often the caller asked for it; a provider that knows our id starts it once all the same."""


@dataclass
class SubmissionLog:
    submissions: list[Submission] = field(default_factory=list)

    def enter(self, provider_id: str, our_id: str | None, prompt: str, asked: Any) -> Submission:
        submission = Submission(
            n=len(self.submissions) + 1,
            id=provider_id,
            our_id=our_id,
            at=datetime.now(UTC).isoformat(),
            prompt=prompt,
            input=asked,
        )
        self.submissions.append(submission)
        return submission

    def lose_unfinished(self) -> None:
        """The provider restarted: what had not ended never will."""
        for submission in self.submissions:
            if submission.state in ("queued", "running"):
                submission.state = "lost"

    def listing(self, since: int = 0) -> list[dict[str, Any]]:
        return [asdict(submission) for submission in self.submissions[since:]]

    def summary(self) -> dict[str, Any]:
        """Totals, and the caller's ids that were accepted more than once."""
        times = Counter(entry.our_id for entry in self.submissions if entry.our_id)
        return {
            "total": len(self.submissions),
            "states": Counter(entry.state for entry in self.submissions),
            "twice": {our_id: count for our_id, count in times.items() if count > 1},
        }
