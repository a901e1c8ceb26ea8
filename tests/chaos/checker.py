"""Find faults in the evidence of a run. Pure; shares no rules with the services."""

from collections.abc import Iterator, Mapping, Sequence

from tests.chaos.evidence import Document, Evidence, PublishedEvent, events_by_job
from tests.chaos.faults import Fault
from tests.chaos.outcomes import chains, ends, wrong_outcomes
from tests.chaos.results import orphans, results
from tests.chaos.submissions import submissions
from tests.chaos.webhooks import notifications

__all__ = ["Fault", "check"]


def check(evidence: Evidence) -> list[Fault]:
    """Return all faults; none if every promise was kept."""
    events = events_by_job(evidence)
    return [
        *ends(evidence, events),
        *wrong_outcomes(evidence),
        *chains(evidence),
        *_left_over(evidence),
        *_numbering(evidence, events),
        *results(evidence, events),
        *orphans(evidence),
        *submissions(evidence),
        *notifications(evidence, events),
    ]


def _left_over(evidence: Evidence) -> Iterator[Fault]:
    """Find work that never came to rest, and records of the run that became dead letters."""
    for entry in evidence.under_way:
        yield Fault("stuck", entry, "still so when the time was up")
    for dead_letter in evidence.dead_letters:
        where = "{original_topic}/{original_partition}/{original_offset}".format(**dead_letter)
        yield Fault("dead_letter", where, "{service}: {reason}: {error}".format(**dead_letter))


def _numbering(evidence: Evidence, events: Mapping[str, Sequence[PublishedEvent]]) -> Iterator[Fault]:
    """Find gaps in the numbers of events (from 1 to the number in the document), and changed copies."""
    for job_id, published in events.items():
        numbers = sorted({each.body["seq"] for each in published})
        last = evidence.jobs.get(job_id, {}).get("seq", 0)
        if numbers != list(range(1, max(last, *numbers) + 1)):
            yield Fault("seq_gap", job_id, f"numbers {numbers}, the document is at {last}")
        bodies: dict[int, Document] = {}
        for each in published:
            if bodies.setdefault(each.body["seq"], each.body) != each.body:
                yield Fault("event_changed", f"{job_id}/{each.body['seq']}", "published in two versions")
