"""Whether every receiver got what it was to be told, signed, once per event and in order."""

import base64
import hmac
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tests.chaos.ends import ENDS
from tests.chaos.evidence import Evidence, Got, Said
from tests.chaos.faults import Fault

SAME = ("job_id", "seq", "event", "status")
"""What a webhook must share with the event that it tells of."""


def notifications(evidence: Evidence, events: Mapping[str, Sequence[Said]]) -> Iterator[Fault]:
    """Every receiver has every end, each event under one id with one content, first copies in order."""
    by_id: dict[str, list[Got]] = defaultdict(list)
    for got in evidence.got:
        job_id = got.id.rpartition("/")[0]
        if got.url != evidence.told.get(job_id):
            yield Fault("stray_notification", got.id, f"{got.url} got what is {evidence.told.get(job_id)}'s")
            continue
        by_id[got.id].append(got)
        if not _tells_of(got, events.get(job_id, ())):
            yield Fault("changed_notification", got.id, f"no such event was said: {got.body[:200]!r}")
        if evidence.secret and not is_signed(got, _secret_of(evidence, job_id)):
            yield Fault("bad_signature", got.id, f"{got.signature!r} at {got.timestamp!r}")
    yield from _missing(evidence, events, by_id)
    for webhook_id, copies in by_id.items():
        if len({_without_links(copy.body) for copy in copies}) > 1:
            yield Fault("changed_notification", webhook_id, f"{len(copies)} copies differ")
    yield from _unordered(by_id)


def _without_links(body: bytes) -> bytes:
    """Return a body without its links, which are signed anew for each copy."""
    try:
        event = json.loads(body)
    except ValueError:
        return body
    if isinstance(event, dict):
        event.pop("links", None)
    return json.dumps(event, sort_keys=True).encode()


def _missing(
    evidence: Evidence, events: Mapping[str, Sequence[Said]], by_id: Mapping[str, Sequence[Got]]
) -> Iterator[Fault]:
    for job_id in evidence.told:
        ends = [each for each in events.get(job_id, ()) if each.body["event"] in ENDS]
        webhook_id = f"{job_id}/{ends[0].body['seq']}" if ends else ""
        still_tried = any(
            entry == f"deliveries: {webhook_id}" or entry.startswith("lag: notifier")
            for entry in evidence.under_way
        )
        if ends and webhook_id not in by_id and not still_tried:
            yield Fault("missing_notification", job_id, f"event {ends[0].body['seq']} never arrived")


def _unordered(by_id: Mapping[str, Sequence[Got]]) -> Iterator[Fault]:
    first: dict[str, list[int]] = defaultdict(list)
    for webhook_id in by_id:  # in the order of first arrival
        job_id, _, seq = webhook_id.rpartition("/")
        first[job_id].append(int(seq))
    for job_id, numbers in first.items():
        if numbers != sorted(numbers):
            yield Fault("unordered_notification", job_id, f"first copies came as {numbers}")


def _tells_of(got: Got, said: Sequence[Said]) -> bool:
    """Whether it carries the event whose id it has."""
    try:
        body = json.loads(got.body)
    except ValueError:
        return False
    seq = int(got.id.rpartition("/")[2])
    return any(
        each.body["seq"] == seq and all(body.get(name) == each.body.get(name) for name in SAME)
        for each in said
    )


def _secret_of(evidence: Evidence, job_id: str) -> bytes:
    """The tenant's own, made of ours."""
    ours = base64.b64decode(evidence.secret.removeprefix("whsec_"))
    tenant = evidence.jobs.get(job_id, {}).get("tenant", "")
    return hmac.digest(ours, f"webhooks of {tenant}".encode(), "sha256")


def is_signed(got: Got, secret: bytes) -> bool:
    """As Standard Webhooks says: one of its signatures is that of id, time and body."""
    content = b".".join((got.id.encode(), got.timestamp.encode(), got.body))
    right = "v1," + base64.b64encode(hmac.digest(secret, content, "sha256")).decode()
    return any(hmac.compare_digest(each, right) for each in got.signature.split())
