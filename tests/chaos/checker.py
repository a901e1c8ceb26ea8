"""Evidence → faults. Pure, and written without the services' own rules: it trusts nobody's word."""

from collections.abc import Iterator, Mapping, Sequence

from tests.chaos.ends import chains, ends, wrong_ends
from tests.chaos.evidence import Document, Evidence, Said, events_by_job
from tests.chaos.faults import Fault
from tests.chaos.results import orphans, results
from tests.chaos.submissions import submissions
from tests.chaos.webhooks import notifications

__all__ = ["Fault", "check"]


def check(evidence: Evidence) -> list[Fault]:
    """All faults; none when every promise was kept."""
    events = events_by_job(evidence)
    return [
        *ends(evidence, events),
        *wrong_ends(evidence),
        *chains(evidence),
        *_left_over(evidence),
        *_numbering(evidence, events),
        *results(evidence, events),
        *orphans(evidence),
        *submissions(evidence),
        *notifications(evidence, events),
    ]


def _left_over(evidence: Evidence) -> Iterator[Fault]:
    """Nothing is under way for ever, and nothing that was asked here is set aside."""
    for entry in evidence.under_way:
        yield Fault("stuck", entry, "still so when the time was up")
    for letter in evidence.dead_letters:
        where = "{original_topic}/{original_partition}/{original_offset}".format(**letter)
        yield Fault("dead_letter", where, "{service}: {reason}: {error}".format(**letter))


def _numbering(evidence: Evidence, events: Mapping[str, Sequence[Said]]) -> Iterator[Fault]:
    """Numbers run from 1 without gaps up to the document's; an event said again says the same."""
    for job_id, said in events.items():
        numbers = sorted({each.body["seq"] for each in said})
        last = evidence.jobs.get(job_id, {}).get("seq", 0)
        if numbers != list(range(1, max(last, *numbers) + 1)):
            yield Fault("seq_gap", job_id, f"numbers {numbers}, the document is at {last}")
        bodies: dict[int, Document] = {}
        for each in said:
            if bodies.setdefault(each.body["seq"], each.body) != each.body:
                yield Fault("event_changed", f"{job_id}/{each.body['seq']}", "said in two versions")
