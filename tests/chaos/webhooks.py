"""Checks that every receiver got its events: signed, under one id each, first copies in order."""

import base64
import hmac
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tests.chaos.evidence import Evidence, PublishedEvent, ReceivedWebhook
from tests.chaos.faults import Fault
from tests.chaos.outcomes import ENDS

SAME = ("job_id", "seq", "event", "status")
"""Fields that a webhook shares with its event."""


def notifications(evidence: Evidence, events: Mapping[str, Sequence[PublishedEvent]]) -> Iterator[Fault]:
    """Find terminal events that never arrived, changed or misplaced copies, and wrong order."""
    by_id: dict[str, list[ReceivedWebhook]] = defaultdict(list)
    for webhook in evidence.webhooks:
        job_id = webhook.id.rpartition("/")[0]
        if webhook.url != evidence.webhook_urls.get(job_id):
            yield Fault(
                "stray_notification",
                webhook.id,
                f"{webhook.url} received a webhook of {evidence.webhook_urls.get(job_id)}",
            )
            continue
        by_id[webhook.id].append(webhook)
        if not _matches_event(webhook, events.get(job_id, ())):
            yield Fault(
                "changed_notification", webhook.id, f"no such event was published: {webhook.body[:200]!r}"
            )
        if evidence.secret and not is_signed(webhook, _secret_of(evidence, job_id)):
            yield Fault("bad_signature", webhook.id, f"{webhook.signature!r} at {webhook.timestamp!r}")
    yield from _missing(evidence, events, by_id)
    for webhook_id, copies in by_id.items():
        if len({_without_links(copy.body) for copy in copies}) > 1:
            yield Fault("changed_notification", webhook_id, f"{len(copies)} copies differ")
    yield from _unordered(by_id)


def _without_links(body: bytes) -> bytes:
    """Return a body without its links, which are signed for each copy."""
    try:
        event = json.loads(body)
    except ValueError:
        return body
    if isinstance(event, dict):
        event.pop("links", None)
    return json.dumps(event, sort_keys=True).encode()


def _missing(
    evidence: Evidence,
    events: Mapping[str, Sequence[PublishedEvent]],
    by_id: Mapping[str, Sequence[ReceivedWebhook]],
) -> Iterator[Fault]:
    for job_id in evidence.webhook_urls:
        ends = [each for each in events.get(job_id, ()) if each.body["event"] in ENDS]
        webhook_id = f"{job_id}/{ends[0].body['seq']}" if ends else ""
        still_tried = any(
            entry == f"deliveries: {webhook_id}" or entry.startswith("lag: notifier")
            for entry in evidence.under_way
        )
        if ends and webhook_id not in by_id and not still_tried:
            yield Fault("missing_notification", job_id, f"event {ends[0].body['seq']} never arrived")


def _unordered(by_id: Mapping[str, Sequence[ReceivedWebhook]]) -> Iterator[Fault]:
    first: dict[str, list[int]] = defaultdict(list)
    for webhook_id in by_id:  # in the order of first arrival
        job_id, _, seq = webhook_id.rpartition("/")
        first[job_id].append(int(seq))
    for job_id, numbers in first.items():
        if numbers != sorted(numbers):
            yield Fault("unordered_notification", job_id, f"first copies came as {numbers}")


def _matches_event(webhook: ReceivedWebhook, published: Sequence[PublishedEvent]) -> bool:
    """Return whether the webhook has the content of the event with its id."""
    try:
        body = json.loads(webhook.body)
    except ValueError:
        return False
    seq = int(webhook.id.rpartition("/")[2])
    return any(
        each.body["seq"] == seq and all(body.get(name) == each.body.get(name) for name in SAME)
        for each in published
    )


def _secret_of(evidence: Evidence, job_id: str) -> bytes:
    """Return the tenant's secret, derived from the platform's."""
    ours = base64.b64decode(evidence.secret.removeprefix("whsec_"))
    tenant = evidence.jobs.get(job_id, {}).get("tenant", "")
    return hmac.digest(ours, f"webhooks of {tenant}".encode(), "sha256")


def is_signed(webhook: ReceivedWebhook, secret: bytes) -> bool:
    """Return whether one signature is that of id, time and body, as Standard Webhooks defines it."""
    content = b".".join((webhook.id.encode(), webhook.timestamp.encode(), webhook.body))
    right = "v1," + base64.b64encode(hmac.digest(secret, content, "sha256")).decode()
    return any(hmac.compare_digest(each, right) for each in webhook.signature.split())
