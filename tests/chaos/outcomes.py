"""Checks that every job and every chain ended once, with an outcome that the load explains."""

from collections.abc import Iterator, Mapping, Sequence

from tests.chaos.evidence import Document, Evidence, PublishedEvent, taken_by_attempt
from tests.chaos.faults import Fault, Kind
from tests.chaos.reasons import why_not

ENDS = ("completed", "failed")
OWN_WORK = ("attempts", "assets")


def ends(evidence: Evidence, events: Mapping[str, Sequence[PublishedEvent]]) -> Iterator[Fault]:
    """Find jobs, submitted or begun by a chain, that did not end exactly once with a terminal event."""
    for job_id in dict.fromkeys([*evidence.asked, *evidence.jobs]):
        document = evidence.jobs.get(job_id)
        published = ends_of(events.get(job_id, ()))
        kind: Kind = "unfinished" if _is_only_slow(evidence, job_id) else "lost"
        if document is None:
            yield Fault(kind, job_id, "there is no document of it")
        elif document["status"] not in ENDS:
            yield Fault(kind, job_id, f"it is still {document['status']}")
        elif not published:
            yield Fault("lost", job_id, "no terminal event was published")
        if len(published) > 1:
            yield Fault("ended_twice", job_id, f"{len(published)} terminal events")


def ends_of(published: Sequence[PublishedEvent]) -> set[str]:
    """Return the ids of the terminal events."""
    return {each.id for each in published if each.body["event"] in ENDS}


def _is_only_slow(evidence: Evidence, job_id: str) -> bool:
    """Return whether the job is only slow: open work, unread records or unpublished messages remain."""
    document = evidence.jobs.get(job_id, {})
    wakes, deadline = document.get("wake_at"), document.get("deadline_at")
    if wakes and deadline and wakes < deadline:
        return True  # it waits for its next try
    return any(
        entry.startswith("lag") or " outbox" in entry or (entry.startswith(OWN_WORK) and job_id in entry)
        for entry in evidence.under_way
    )


def wrong_outcomes(evidence: Evidence) -> Iterator[Fault]:
    """Find jobs that failed, completely or in part, for a reason that the run did not inject."""
    taken = taken_by_attempt(evidence)
    for job_id, document in evidence.jobs.items():
        if document["status"] in ENDS and (why := why_not(evidence, taken, job_id, document)):
            yield Fault("wrong_end", job_id, why)


def chains(evidence: Evidence) -> Iterator[Fault]:
    """Find chains that did not end, or that ended for another reason than their jobs."""
    ordered = [job_id for job_id in evidence.asked if _begins_chain(evidence, job_id)]
    for chain_id in dict.fromkeys([*ordered, *evidence.chains]):
        chain = evidence.chains.get(chain_id)
        why = "there is no document of it" if chain is None else _why_stalled(evidence, chain_id, chain)
        if why:
            yield Fault("stalled_chain", chain_id, why)


def _begins_chain(evidence: Evidence, job_id: str) -> bool:
    order = evidence.orders.get(job_id)
    return order is not None and bool(order.then)


def _why_stalled(evidence: Evidence, chain_id: str, chain: Document) -> str | None:
    tried = [[evidence.jobs.get(each["job_id"], {}) for each in step["tries"]] for step in chain["steps"]]
    if chain["state"] == "completed":
        order = evidence.orders.get(chain_id)
        if order is not None and len(tried) != 1 + len(order.then):
            return f"completed with {len(tried)} steps of {1 + len(order.then)}"
        for place, jobs in enumerate(tried):
            if not any(job.get("status") == "completed" for job in jobs):
                return f"completed, but no job of step {place} is"
        return None
    if chain["state"] not in ("failed", "cancelled"):
        return f"it is still {chain['state']}"
    if not any(job.get("failed") or job.get("status") == "failed" for jobs in tried for job in jobs):
        return f"{chain['state']}, but none of its jobs has failed"
    return None
