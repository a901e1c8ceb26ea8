"""Whether everything that the providers took is explained by our ledger."""

from collections.abc import Iterator, Sequence

from tests.chaos.evidence import Document, Evidence, Submission, taken_by_attempt
from tests.chaos.faults import Fault


def submissions(evidence: Evidence) -> Iterator[Fault]:
    """Every submission in a provider's books is one that the ledger explains."""
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
    asked = sum(each.asked for each in taken)
    if asked > entry["submissions"]:
        yield f"asked for {asked} times, intended {entry['submissions']} times"
    elif sum(each.state != "lost" for each in taken) > 1:  # it could have been asked for
        yield f"taken {len(taken)} times without a doubt"
    if entry["billed"] == "no" and any(each.state == "succeeded" for each in taken):
        yield "rendered, but the ledger says not billed"


def _too_soon(evidence: Evidence, attempt_id: str, taken: Sequence[Submission]) -> str | None:
    """A render is given to a provider again only after the attempt before it has failed."""
    render_id, _, n = attempt_id.rpartition("/")
    if n == "1":
        return None
    before_id = f"{render_id}/{int(n) - 1}"
    before, told = evidence.attempts.get(before_id), _attempt_of(evidence, render_id, int(n) - 1)
    if before is None or told is None:
        return "the attempt before it is unknown to the ledger, or to its job"
    first, ended = min(each.at for each in taken), before.get("finished_at")
    if ended is None or first < ended:
        return f"taken at {first}, the attempt before it ended at {ended}"
    if "failed" not in (before["state"], told["outcome"]):
        return f"the attempt before it is {told['outcome']}"
    return None


def _attempt_of(evidence: Evidence, render_id: str, n: int) -> Document | None:
    """What a job's document says of an attempt."""
    job_id, _, index = render_id.rpartition("/")
    renders = evidence.jobs.get(job_id, {}).get("renders", ())
    if int(index) >= len(renders):
        return None
    attempts: Sequence[Document] = renders[int(index)]["attempts"]
    return next((attempt for attempt in attempts if attempt["n"] == n), None)
