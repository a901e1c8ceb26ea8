"""Checks that each delivered image has exactly one stored result, and that the bucket has no other object."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tests.chaos.evidence import Document, Evidence, PublishedEvent
from tests.chaos.faults import Fault

DELIVERED = "image_ready"
PREVIEW = "{key}.preview.webp"


def results(evidence: Evidence, events: Mapping[str, Sequence[PublishedEvent]]) -> Iterator[Fault]:
    """Find images, announced or done in their job, without exactly one readable stored result."""
    announced = _announced(events)
    done = {
        f"{job_id}/{render['spec']['index']}": render
        for job_id, document in evidence.jobs.items()
        for render in document["renders"]
        if render["state"] == "done"
    }
    for where, images in announced.items():
        if len(images) > 1:
            yield Fault("duplicate_asset", where, f"delivered {len(images)} times")
        for image in images.values():
            yield from _result(where, image, evidence)
        if where not in done:
            yield Fault("missing_asset", where, "delivered, but not done in its job")
    for where, render in done.items():
        yield from _result(where, render, evidence)
        if where not in announced:
            yield Fault("missing_asset", where, "done, but never announced")


def _announced(events: Mapping[str, Sequence[PublishedEvent]]) -> dict[str, dict[str, Document]]:
    """Return the announced images, by image and event id."""
    found: dict[str, dict[str, Document]] = defaultdict(dict)
    for job_id, published in events.items():
        for each in published:
            if each.body["event"] == DELIVERED:
                image = each.body["image"]
                found[f"{job_id}/{image['index']}"][each.id] = image
    return found


def _result(where: str, image: Document, evidence: Evidence) -> Iterator[Fault]:
    stored = image.get("stored") or image.get("lora")
    asset = evidence.assets.get(where)
    if asset is None or asset["state"] != "stored" or stored is None:
        yield Fault("missing_asset", where, "delivered, but no asset is stored")
        return
    kept = asset["key"] if "key" in asset else asset["lora"]["key"]
    if kept != stored["key"]:
        yield Fault("duplicate_asset", where, f"{stored['key']} was delivered, {kept} is kept")
    content = evidence.objects.get(stored["key"])
    if content is None:
        yield Fault("missing_asset", where, f"no object has the key {stored['key']}")
    elif content != stored["sha256"] or stored["sha256"] not in stored["key"]:
        yield Fault("bad_asset", where, f"{stored['key']} has SHA-256 {content}")


def orphans(evidence: Evidence) -> Iterator[Fault]:
    """Find objects in the bucket that neither an asset nor its preview explains."""
    named: set[str] = set()
    for asset in evidence.assets.values():
        if asset["state"] == "stored":
            named |= _names(asset)
    for key in sorted(set(evidence.objects) - named):
        yield Fault("orphan_object", key, "no asset names it")


def _names(asset: Document) -> set[str]:
    image, lora = asset.get("image") or asset, asset.get("lora") or {}
    keys = {str(key) for key in (image.get("key"), lora.get("key"), lora.get("manifest_key")) if key}
    return keys | {PREVIEW.format(key=key) for key in keys}
