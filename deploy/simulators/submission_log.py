"""Log of the submissions that a simulator accepted, in order. Tests check here that none ran twice."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

State = Literal["queued", "running", "succeeded", "failed", "cancelled", "lost"]


@dataclass
class Submission:
    """One accepted submit. `id` is the provider's, `our_id` the caller's idempotency key."""

    n: int
    id: str
    our_id: str | None
    at: str
    prompt: str
    input: Any
    state: State = "queued"
    asked: int = 1
    """Number of submits with this key; a provider with idempotency keys starts one job for all."""


@dataclass
class SubmissionLog:
    submissions: list[Submission] = field(default_factory=list)

    def enter(self, provider_id: str, idempotency_key: str | None, prompt: str, arguments: Any) -> Submission:
        submission = Submission(
            n=len(self.submissions) + 1,
            id=provider_id,
            our_id=idempotency_key,
            at=datetime.now(UTC).isoformat(),
            prompt=prompt,
            input=arguments,
        )
        self.submissions.append(submission)
        return submission

    def lose_unfinished(self) -> None:
        """Mark unfinished submissions as lost after a restart of the provider."""
        for submission in self.submissions:
            if submission.state in ("queued", "running"):
                submission.state = "lost"

    def listing(self, since: int = 0) -> list[dict[str, Any]]:
        return [asdict(submission) for submission in self.submissions[since:]]

    def summary(self) -> dict[str, Any]:
        """Return totals, and the idempotency keys that were accepted more than once."""
        times = Counter(entry.our_id for entry in self.submissions if entry.our_id)
        return {
            "total": len(self.submissions),
            "states": Counter(entry.state for entry in self.submissions),
            "twice": {key: count for key, count in times.items() if count > 1},
        }
