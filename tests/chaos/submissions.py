"""Checks that the ledger explains every submission in the providers' logs."""

from collections.abc import Iterator, Sequence

from tests.chaos.evidence import Document, Evidence, Submission, taken_by_attempt
from tests.chaos.faults import Fault


def submissions(evidence: Evidence) -> Iterator[Fault]:
    """Find submissions in the providers' logs that the ledger does not explain."""
    for attempt_id, taken in taken_by_attempt(evidence).items():
        if attempt_id is None:
            for each in taken:
                yield Fault("unexplained_submission", f"{each.provider} {each.id}", "no ledger entry")
            continue
        for why in (
            *_of_attempt(evidence.attempts[attempt_id], taken),
            _too_soon(evidence, attempt_id, taken),
        ):
            if why:
                yield Fault("unexplained_submission", attempt_id, why)


def _of_attempt(entry: Document, taken: Sequence[Submission]) -> Iterator[str]:
    asked = sum(each.requests for each in taken)
    if asked > entry["submissions"]:
        yield f"requested {asked} times, intended {entry['submissions']} times"
    elif sum(each.state != "lost" for each in taken) > 1:  # a lookup would have found it
        yield f"submitted {len(taken)} times although a lookup was possible"
    if entry["billed"] == "no" and any(each.state == "succeeded" for each in taken):
        yield "rendered, but the ledger says not billed"


def _too_soon(evidence: Evidence, attempt_id: str, taken: Sequence[Submission]) -> str | None:
    """Return why a render was submitted again before its previous attempt had failed."""
    render_id, _, n = attempt_id.rpartition("/")
    if n == "1":
        return None
    before_id = f"{render_id}/{int(n) - 1}"
    before, recorded = evidence.attempts.get(before_id), _attempt_of(evidence, render_id, int(n) - 1)
    if before is None or recorded is None:
        return "the attempt before it is neither in the ledger nor in its job"
    first, ended = min(each.at for each in taken), before.get("finished_at")
    if ended is None or first < ended:
        return f"taken at {first}, the attempt before it ended at {ended}"
    if "failed" not in (before["state"], recorded["outcome"]):
        return f"the attempt before it is {recorded['outcome']}"
    return None


def _attempt_of(evidence: Evidence, render_id: str, n: int) -> Document | None:
    """Return the entry of an attempt in its job's document."""
    job_id, _, index = render_id.rpartition("/")
    renders = evidence.jobs.get(job_id, {}).get("renders", ())
    if int(index) >= len(renders):
        return None
    attempts: Sequence[Document] = renders[int(index)]["attempts"]
    return next((attempt for attempt in attempts if attempt["n"] == n), None)
