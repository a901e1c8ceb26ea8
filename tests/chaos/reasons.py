"""Failures that the load explains: its cancels, its invalid input and injected provider faults."""

from collections.abc import Mapping, Sequence

from tests.chaos.evidence import Document, Evidence, Submission

Taken = Mapping[str | None, Sequence[Submission]]

BY_RENDERS = (None, "provider_failed", "too_few_images")
"""Codes of jobs that are explained by their images. None is a completed job: some images may have failed."""
ALL_TRIES = 4
NO_ANSWER = "outcome_unknown"


def why_not(evidence: Evidence, taken: Taken, job_id: str, job: Document) -> str | None:
    """Return why the outcome of a job is not explained, or None."""
    order = evidence.orders.get(job_id)
    code = job["error"]["code"] if job["error"] else None
    if code == "cancelled":
        wanted = order is not None and order.cancelled_after is not None
        return None if wanted else "cancelled, and no cancel was requested"
    nonsense = order is not None and order.kind == "nonsense"
    if nonsense or code == "rejected":
        return None if nonsense and code == "rejected" else f"{job['status']} ({code}), the order is {order}"
    if code == "lora_failed":
        return None if _training_failed(evidence, job) else "lora_failed, but its chain's training did not"
    if code not in BY_RENDERS:
        return f"{code}: {job['error']['message']}"
    return _why_not_of_renders(evidence, taken, job_id, job)


def _training_failed(evidence: Evidence, job: Document) -> bool:
    chain = job.get("chain_id")
    return chain is not None and any(
        other.get("chain_id") == chain and other["type"] == "lora_training" and other["status"] == "failed"
        for other in evidence.jobs.values()
    )


def _why_not_of_renders(evidence: Evidence, taken: Taken, job_id: str, job: Document) -> str | None:
    failed = 0
    for render in job["renders"]:
        where = f"{job_id}/{render['spec']['index']}"
        if render["state"] == "failed":
            failed += 1
            if why := _why_not_of_render(evidence, taken, where, render):
                return f"image {where} failed, but {why}"
        elif render["state"] != "done":
            return f"it has ended, and image {where} is still {render['state']}"
    return None if failed or job["status"] == "completed" else "it failed, but no image of it did"


def _why_not_of_render(evidence: Evidence, taken: Taken, where: str, render: Document) -> str | None:
    """Return why a failure is not explained: tries are left, or a submission log has no failure."""
    attempts = render["attempts"]
    if not attempts:
        return "it was never submitted"
    for attempt in attempts:
        if attempt["outcome"] != "failed":
            return f"attempt {attempt['n']} is {attempt['outcome']}"
        if not _broken_by_provider(evidence, taken, f"{where}/{attempt['n']}", attempt):
            return (
                f"the provider's submission log has no failure of attempt {attempt['n']}: {attempt['error']}"
            )
    if len(attempts) < ALL_TRIES and attempts[-1]["retryable"]:
        return f"it was given up after {len(attempts)} attempts"
    return None


def _broken_by_provider(evidence: Evidence, taken: Taken, attempt_id: str, attempt: Document) -> bool:
    """Return whether the provider failed it, or lost the answer and offers no lookup."""
    if any(each.state == "failed" for each in taken.get(attempt_id, ())):
        return True
    entry = evidence.attempts.get(attempt_id, {})
    unanswered = (attempt["error"] or {}).get("code") == NO_ANSWER
    return unanswered and attempt["provider"] == "fal" and entry.get("submissions", 0) > 0
