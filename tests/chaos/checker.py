"""Evidence → faults. Pure, and written without the services' own rules: it trusts nobody's word."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.chaos.evidence import Document, Evidence, Got, Said, Submission, id_at_provider

Kind = Literal[
    "lost",
    "ended_twice",
    "seq_gap",
    "event_changed",
    "missing_asset",
    "bad_asset",
    "duplicate_asset",
    "unexplained_submission",
    "missing_notification",
    "changed_notification",
    "unordered_notification",
]
ENDS = ("completed", "failed")
DELIVERED = ("image_ready",)


@dataclass(frozen=True)
class Fault:
    """A promise that was not kept: which, and where."""

    kind: Kind
    where: str
    what: str


def check(evidence: Evidence) -> list[Fault]:
    """All faults; none when every promise was kept."""
    events = _events_by_job(evidence.events)
    return [
        *_lost(evidence, events),
        *_numbering(evidence, events),
        *_assets(evidence, events),
        *_submissions(evidence),
        *_notifications(evidence, events),
    ]


def _events_by_job(said: Iterable[Said]) -> dict[str, list[Said]]:
    found: dict[str, list[Said]] = defaultdict(list)
    for each in said:
        if each.body["event"] != "progressed":
            found[each.body["job_id"]].append(each)
    return found


def _ends_of(said: Sequence[Said]) -> set[str]:
    return {each.id for each in said if each.body["event"] in ENDS}


def _lost(evidence: Evidence, events: Mapping[str, Sequence[Said]]) -> Iterator[Fault]:
    """Every job that was asked for, or that a chain began, has ended: once, and said so."""
    for job_id in dict.fromkeys([*evidence.asked, *evidence.jobs]):
        document = evidence.jobs.get(job_id)
        ends = _ends_of(events.get(job_id, ()))
        if document is None:
            yield Fault("lost", job_id, "there is no document of it")
        elif document["status"] not in ENDS:
            yield Fault("lost", job_id, f"it is still {document['status']}")
        elif not ends:
            yield Fault("lost", job_id, "its end was never said")
        if len(ends) > 1:
            yield Fault("ended_twice", job_id, f"{len(ends)} terminal events")


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


def _assets(evidence: Evidence, events: Mapping[str, Sequence[Said]]) -> Iterator[Fault]:
    """Each delivered render has exactly one stored result, readable, with the hash in its name."""
    for job_id, document in evidence.jobs.items():
        for render in document["renders"]:
            if render["state"] == "done":
                yield from _asset(f"{job_id}/{render['spec']['index']}", render, evidence)
    for job_id, said in events.items():
        ready: dict[int, set[str]] = defaultdict(set)
        for each in said:
            if each.body["event"] in DELIVERED:
                ready[each.body["image"]["index"]].add(each.id)
        for index, ids in ready.items():
            if len(ids) > 1:
                yield Fault("duplicate_asset", f"{job_id}/{index}", f"delivered {len(ids)} times")


def _asset(where: str, render: Document, evidence: Evidence) -> Iterator[Fault]:
    told = render.get("stored") or render.get("lora")
    asset = evidence.assets.get(where)
    if asset is None or asset["state"] != "stored" or told is None:
        yield Fault("missing_asset", where, "delivered, but no asset is kept")
        return
    kept = asset["key"] if "key" in asset else asset["lora"]["key"]
    if kept != told["key"]:
        yield Fault("duplicate_asset", where, f"{told['key']} was delivered, {kept} is kept")
    content = evidence.objects.get(told["key"])
    if content is None:
        yield Fault("missing_asset", where, f"nothing lies under {told['key']}")
    elif content != told["sha256"] or told["sha256"] not in told["key"]:
        yield Fault("bad_asset", where, f"{told['key']} has SHA-256 {content}")


def _submissions(evidence: Evidence) -> Iterator[Fault]:
    """Every submission in a provider's books is one that the ledger explains."""
    names = {id_at_provider(attempt_id): attempt_id for attempt_id in evidence.attempts}
    by_attempt: dict[str, list[Submission]] = defaultdict(list)
    for submission in evidence.submissions:
        attempt_id = names.get(submission.our_id or "", submission.our_id)
        if attempt_id not in evidence.attempts:
            yield Fault("unexplained_submission", f"{submission.provider} {submission.id}", "no ledger entry")
        else:
            by_attempt[str(attempt_id)].append(submission)
    for attempt_id, taken in by_attempt.items():
        entry = evidence.attempts[attempt_id]
        if len(taken) > entry["submissions"]:
            what = f"taken {len(taken)} times, intended {entry['submissions']} times"
            yield Fault("unexplained_submission", attempt_id, what)
        elif sum(each.state != "lost" for each in taken) > 1:  # it could have been asked for
            yield Fault("unexplained_submission", attempt_id, f"taken {len(taken)} times without a doubt")
        if entry["billed"] == "no" and any(each.state == "succeeded" for each in taken):
            yield Fault("unexplained_submission", attempt_id, "rendered, but the ledger says not billed")
    yield from _second_attempts(evidence, by_attempt)


def _second_attempts(evidence: Evidence, by_attempt: Mapping[str, list[Submission]]) -> Iterator[Fault]:
    """A render is given to a provider again only after the attempt before it has failed."""
    for attempt_id in by_attempt:
        render_id, _, n = attempt_id.rpartition("/")
        if n == "1":
            continue
        before = _attempt_of(evidence, render_id, int(n) - 1)
        if before is None or before["outcome"] != "failed":
            what = f"the attempt before it is {before['outcome'] if before else 'unknown to its job'}"
            yield Fault("unexplained_submission", attempt_id, what)


def _attempt_of(evidence: Evidence, render_id: str, n: int) -> Document | None:
    """What a job's document says of an attempt."""
    job_id, _, index = render_id.rpartition("/")
    renders = evidence.jobs.get(job_id, {}).get("renders", ())
    if int(index) >= len(renders):
        return None
    attempts: Sequence[Document] = renders[int(index)]["attempts"]
    return next((attempt for attempt in attempts if attempt["n"] == n), None)


def _notifications(evidence: Evidence, events: Mapping[str, Sequence[Said]]) -> Iterator[Fault]:
    """Every receiver has every end, each event under one id with one body, first copies in order."""
    by_id: dict[str, list[Got]] = defaultdict(list)
    for got in evidence.got:
        by_id[got.id].append(got)
    for job_id in evidence.told:
        ends = [each for each in events.get(job_id, ()) if each.body["event"] in ENDS]
        if ends and f"{job_id}/{ends[0].body['seq']}" not in by_id:
            yield Fault("missing_notification", job_id, f"event {ends[0].body['seq']} never arrived")
    for webhook_id, copies in by_id.items():
        if len({copy.body for copy in copies}) > 1:
            yield Fault("changed_notification", webhook_id, f"{len(copies)} copies differ")
    first: dict[str, list[int]] = defaultdict(list)
    for webhook_id in by_id:  # in the order of first arrival
        job_id, _, seq = webhook_id.rpartition("/")
        first[job_id].append(int(seq))
    for job_id, numbers in first.items():
        if numbers != sorted(numbers):
            yield Fault("unordered_notification", job_id, f"first copies came as {numbers}")
