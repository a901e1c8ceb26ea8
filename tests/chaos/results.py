"""Whether each delivered image has exactly one stored result, and the bucket holds nothing else."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tests.chaos.evidence import Document, Evidence, Said
from tests.chaos.faults import Fault

DELIVERED = "image_ready"
PREVIEW = "{key}.preview.webp"


def results(evidence: Evidence, events: Mapping[str, Sequence[Said]]) -> Iterator[Fault]:
    """Each image that was said to be ready, or is kept as done, is stored, readable, and one."""
    said = _said_ready(events)
    done = {
        f"{job_id}/{render['spec']['index']}": render
        for job_id, document in evidence.jobs.items()
        for render in document["renders"]
        if render["state"] == "done"
    }
    for where, images in said.items():
        if len(images) > 1:
            yield Fault("duplicate_asset", where, f"delivered {len(images)} times")
        for image in images.values():
            yield from _result(where, image, evidence)
        if where not in done:
            yield Fault("missing_asset", where, "delivered, but its job does not know of it")
    for where, render in done.items():
        yield from _result(where, render, evidence)
        if where not in said:
            yield Fault("missing_asset", where, "done, but that was never said")


def _said_ready(events: Mapping[str, Sequence[Said]]) -> dict[str, dict[str, Document]]:
    """By image: what was said of it, by the event's id."""
    found: dict[str, dict[str, Document]] = defaultdict(dict)
    for job_id, said in events.items():
        for each in said:
            if each.body["event"] == DELIVERED:
                image = each.body["image"]
                found[f"{job_id}/{image['index']}"][each.id] = image
    return found


def _result(where: str, image: Document, evidence: Evidence) -> Iterator[Fault]:
    told = image.get("stored") or image.get("lora")
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


def orphans(evidence: Evidence) -> Iterator[Fault]:
    """Every object in the bucket is named by an asset, or is the preview of one that is."""
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
