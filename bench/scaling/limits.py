"""Limits of the platform by rate, with a remedy for each."""

from dataclasses import dataclass
from typing import Final

from bench.contestants.ours import IMAGE_PATH_SERVICES
from bench.scaling.assumptions import Assumptions
from bench.scaling.costs import GATEWAY, Costs, cpu_ms
from bench.scaling.per_image import count, kafka_bytes, progress_of, writes
from bench.scaling.stores import MB, OBJECTS
from contracts.catalog import PARTITIONS
from services.gateways.runtime.app import HOUSEKEEPING_SECONDS
from services.gateways.runtime.lifecycle.limits import MAX_IN_MEMORY
from services.gateways.runtime.settings import LimitsSettings

SLOTS: Final[int] = LimitsSettings.model_fields["slots"].default
MORE_PARTITIONS: Final = "more partitions, then more processes"


@dataclass(frozen=True)
class Limit:
    """A component with a maximum rate of images."""

    name: str
    images_per_s: float
    remedy: str


def limits_by_rate(costs: Costs, assumed: Assumptions) -> tuple[Limit, ...]:
    """Return the limits, the lowest first."""
    each_ms = cpu_ms(costs, assumed)
    one_process = {name: 1000 * assumed.busy / each_ms[name] for name in IMAGE_PATH_SERVICES if each_ms[name]}
    found = [
        Limit(f"{name}, one process per partition", PARTITIONS * rate, _then(name))
        for name, rate in one_process.items()
    ]
    if GATEWAY in one_process:
        checks = assumed.document_writes_per_s * HOUSEKEEPING_SECONDS
        found.append(
            Limit(
                "the slot allocation document, written by every gateway process in one interval",
                checks * one_process[GATEWAY],
                "rebalance less often, or use one document per group of gateway processes",
            )
        )
    return tuple(sorted([*found, *stated_limits(assumed)], key=lambda limit: limit.images_per_s))


def stated_limits(assumed: Assumptions) -> tuple[Limit, ...]:
    """Return the limits that follow from settings and assumptions alone."""
    progress = progress_of(assumed.image_seconds)
    primary = assumed.primary_writes_per_s / count(writes(progress))
    return (
        Limit(
            "`MODAL_SLOTS` at its default",
            SLOTS / assumed.image_seconds,
            "set it to the number of GPUs",
        ),
        Limit(
            "attempts in gateway memory, one process per partition",
            PARTITIONS * MAX_IN_MEMORY / assumed.image_seconds,
            f"`MODAL_MAX_IN_MEMORY`, a setting bound by memory; {MORE_PARTITIONS}",
        ),
        Limit("one MongoDB primary", primary, "publish less progress; then shards, see below"),
        Limit("one tenant, if its documents are on one shard", primary, "shard by the hash of `_id`"),
        Limit(
            "one tenant's key prefix in S3",
            assumed.s3_puts_per_prefix / OBJECTS,
            "begin keys with some characters of the image's hash",
        ),
        Limit(
            "Kafka with one broker per replica",
            assumed.broker_mb_per_s * MB / kafka_bytes(progress),
            "more brokers and partitions; compression",
        ),
    )


def _then(name: str) -> str:
    extra = {
        "dispatcher": "; publish less progress",
        "result_store": "; make previews in separate processes",
    }
    return MORE_PARTITIONS + extra.get(name, "")
