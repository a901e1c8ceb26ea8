"""The report of a run: its last line, and the data behind the verdict."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.evidence import Evidence
from tests.chaos.faults import LOST, Fault
from tests.chaos.plan import Plan
from tests.chaos.work import Work


@dataclass(frozen=True)
class Report:
    """The result of a plan."""

    plan: Plan
    evidence: Evidence
    work: Work
    faults: Sequence[Fault]
    done: Mapping[str, int]
    kills: int
    seconds: float

    def last_line(self) -> dict[str, object]:
        """Return the verdict."""
        kinds = Counter(fault.kind for fault in self.faults)
        terminal = sum(job["status"] in ("completed", "failed") for job in self.evidence.jobs.values())
        return {
            "jobs": len(self.evidence.jobs),
            "terminal": terminal,
            "lost": sum(kinds[kind] for kind in LOST),
            "duplicate_assets": kinds["duplicate_asset"],
            "unexplained_submissions": kinds["unexplained_submission"],
            "missing_notifications": kinds["missing_notification"],
            "faults": len(self.faults),
            "kills": self.kills,
            "seed": self.plan.seed,
        }

    def whole(self) -> dict[str, object]:
        """Return the verdict and the data behind it."""
        jobs, work = self.evidence.jobs.values(), self.work
        return self.last_line() | {
            "seconds": round(self.seconds),
            "planned": work.planned,
            "asked": work.asked,
            "completed": sum(job["status"] == "completed" for job in jobs),
            "errors": Counter(job["error"]["code"] for job in jobs if job["error"]),
            "types": Counter(job["type"] for job in jobs),
            "images": sum(job["delivered"] for job in jobs),
            "chains": Counter(chain["state"] for chain in self.evidence.chains.values()),
            "submissions": Counter(each.provider for each in self.evidence.submissions),
            "webhooks": len(self.evidence.webhooks),
            "done": dict(sorted(self.done.items())),
            "answers": work.answers,
            "before_mb": work.before_mb,
            "most_mb": work.most_mb,
            "kinds": Counter(fault.kind for fault in self.faults),
            "under_way": list(self.evidence.under_way)[:20],
        }
