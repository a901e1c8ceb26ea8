"""What reaches its limit first, at which rate, and what one would do then."""

from dataclasses import dataclass
from typing import Final

from bench.contestants.ours import ON_THE_WAY
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
    """Something that carries so many images per second and no more."""

    what: str
    images_per_s: float
    then: str


def breaks_first(costs: Costs, assumed: Assumptions) -> tuple[Limit, ...]:
    """The lowest limit first."""
    each_ms = cpu_ms(costs, assumed)
    one_process = {name: 1000 * assumed.busy / each_ms[name] for name in ON_THE_WAY if each_ms[name]}
    found = [
        Limit(f"{name}, one process per partition", PARTITIONS * rate, _then(name))
        for name, rate in one_process.items()
    ]
    if GATEWAY in one_process:
        checks = assumed.document_writes_per_s * HOUSEKEEPING_SECONDS
        found.append(
            Limit(
                "the one document of slot shares, written by every gateway process within one look",
                checks * one_process[GATEWAY],
                "let shares be settled less often, or one document for each part of the gateways",
            )
        )
    return tuple(sorted([*found, *stated_limits(assumed)], key=lambda limit: limit.images_per_s))


def stated_limits(assumed: Assumptions) -> tuple[Limit, ...]:
    """Those that follow from settings and assumptions alone."""
    progress = progress_of(assumed.image_seconds)
    primary = assumed.primary_writes_per_s / count(writes(progress))
    return (
        Limit(
            "`MODAL_SLOTS` as it is by default",
            SLOTS / assumed.image_seconds,
            "a setting: as many slots as there are GPUs",
        ),
        Limit(
            "attempts that gateways hold, one process per partition",
            PARTITIONS * MAX_IN_MEMORY / assumed.image_seconds,
            f"`MODAL_MAX_IN_MEMORY`, a setting bound by memory; {MORE_PARTITIONS}",
        ),
        Limit("one MongoDB primary", primary, "say less progress; then shards, see below"),
        Limit("one tenant, when all of a tenant is on one shard", primary, "shard by the hash of `_id`"),
        Limit(
            "one tenant's prefix in S3",
            assumed.s3_puts_per_prefix / OBJECTS,
            "begin keys with a few characters of the image's hash",
        ),
        Limit(
            "Kafka with as few brokers as copies",
            assumed.broker_mb_per_s * MB / kafka_bytes(progress),
            "more brokers, with partitions spread over them; compression",
        ),
    )


def _then(name: str) -> str:
    extra = {
        "dispatcher": "; say less progress",
        "result_store": "; previews in processes of their own",
    }
    return MORE_PARTITIONS + extra.get(name, "")
