"""Tables of docs/scaling.md, written between its markers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bench.contestants.ours import IMAGE_PATH_SERVICES
from bench.markdown import table, text, write_between_markers
from bench.results import Results
from bench.scaling.assumptions import DAY, RATES, Assumptions
from bench.scaling.costs import Costs, costs_of, cpu_ms
from bench.scaling.limits import SLOTS, limits_by_rate
from bench.scaling.needs import Needs, gpu_usd_per_month, littles_law, needs
from bench.scaling.per_image import count, document_bytes, kafka_bytes, messages, polls, progress_of, writes
from bench.scaling.stores import Stores
from bench.tables import machine_line
from contracts.catalog import PARTITIONS
from services.gateways.runtime.lifecycle.limits import MAX_IN_MEMORY

UNMEASURED: Final = "Not yet measured."
ASSUMED: Final = Assumptions()
MISSING: Final = "not measured"
COLUMNS: Final = ("images/s", *map(text, RATES))


def write_scaling(results: Results | None, page: Path, assumed: Assumptions = ASSUMED) -> None:
    """Write all tables; those that need a measured cost say so if there is none."""
    write_between_markers(page, scaling_tables(results, assumed))


def scaling_tables(results: Results | None, assumed: Assumptions) -> dict[str, str]:
    """Return Markdown by the name of its markers."""
    progress, costs = progress_of(assumed.image_seconds), costs_of(results)
    return {
        "assumptions": _assumptions(assumed),
        "settings": _settings(assumed),
        "messages": _messages(progress),
        "writes": _writes(progress),
        "documents": _documents(),
        "stores": _stores([Stores(rate, assumed) for rate in RATES]),
        "provider": _provider(assumed),
        **_measured(results, costs, assumed),
    }


def _measured(results: Results | None, costs: Costs | None, assumed: Assumptions) -> dict[str, str]:
    if results is None or costs is None:
        return dict.fromkeys(("measured", "costs", "processes", "money", "limits"), UNMEASURED)
    found = [needs(rate, costs, assumed) for rate in RATES]
    limits = ((each.name, each.images_per_s, each.remedy) for each in limits_by_rate(costs, assumed))
    return {
        "measured": machine_line(results),
        "costs": _costs(costs, assumed),
        "processes": _processes(found),
        "money": _money(found),
        "limits": table(("limit", "images/s", "remedy"), limits),
    }


def _assumptions(assumed: Assumptions) -> str:
    fields = Assumptions.model_fields.items()
    rows = ((f"`{name}`", getattr(assumed, name), field.description) for name, field in fields)
    return table(("assumption", "value", "unit and reason"), rows)


def _settings(assumed: Assumptions) -> str:
    rows = (
        ("partitions of each topic", PARTITIONS, "`PARTITIONS`, contracts/catalog.py"),
        ("slots of a gateway by default, all processes", SLOTS, "services/gateways/runtime/settings.py"),
        (
            "attempts in memory of one gateway process",
            MAX_IN_MEMORY,
            "services/gateways/runtime/lifecycle/limits.py",
        ),
        (
            "polls of one image at Modal",
            polls(assumed.image_seconds),
            "services/gateways/runtime/lifecycle/intervals.py",
        ),
    )
    return table(("from the code", "value", "where"), rows)


def _messages(progress: int) -> str:
    costs_per_message = messages(progress)
    rows = [
        (f"`{each.example}`", f"`{each.topic}`", each.times, each.bytes, each.retention_seconds / DAY)
        for each in costs_per_message
    ]
    whole = ("total", "", count(costs_per_message), kafka_bytes(progress), None)
    return table(("example", "topic", "per image", "bytes", "retention, days"), [*rows, whole])


def _writes(progress: int) -> str:
    written = writes(progress)
    rows = [(f"`{each.collection}`", each.why, each.times) for each in written]
    return table(("collection", "write", "per image"), [*rows, ("total", "", count(written))])


def _documents() -> str:
    found = document_bytes()
    rows = [*((f"`{name}`", size) for name, size in found.items()), ("total", sum(found.values()))]
    return table(("collection", "bytes per image"), rows)


def _costs(costs: Costs, assumed: Assumptions) -> str:
    modelled = cpu_ms(costs, assumed)
    rows: list[Sequence[object]] = [
        (f"{name}, CPU ms per image", ms, modelled.get(name)) for name, ms in costs.cpu_ms.items()
    ]
    gateway = "one attempt in flight at Modal"
    rows += [
        (f"{gateway}, CPU ms per poll", _known(costs.poll_ms), None),
        (f"{gateway}, kB", _known(costs.attempt_kb), None),
        ("idle gateways.modal, MB", _known(costs.gateway_mb), None),
    ]
    return table(("cost", "measured", "in the model"), rows)


def _known(value: float | None) -> float | str:
    return MISSING if value is None else value


def _stores(found: Sequence[Stores]) -> str:
    rows: tuple[tuple[str, Callable[[Stores], object]], ...] = (
        ("Kafka, MB/s in", lambda each: each.kafka_mb_per_s),
        ("Kafka, GB on disks, all replicas", lambda each: each.kafka_disk_gb),
        ("Kafka brokers, by bytes", lambda each: each.brokers),
        ("MongoDB, writes/s", lambda each: each.mongo_writes_per_s),
        ("MongoDB shards, by writes", lambda each: each.shards),
        ("MongoDB, GB of documents per day, one copy", lambda each: each.mongo_gb_per_day),
        ("S3, PUT/s", lambda each: each.s3_puts_per_s),
        ("S3, new TB per month", lambda each: each.s3_tb_per_month),
        ("result-stores' network, Gbit/s in and out", lambda each: each.result_store_gbit_per_s),
        ("storage, USD per month", lambda each: each.usd_per_month),
    )
    return table(COLUMNS, ((name, *map(value, found)) for name, value in rows))


def _provider(assumed: Assumptions) -> str:
    rows = (
        ("slots, and GPUs", *(littles_law(rate, assumed.image_seconds) for rate in RATES)),
        ("GPUs, USD per month", *(gpu_usd_per_month(rate, assumed) for rate in RATES)),
    )
    return table(COLUMNS, rows)


def _processes(found: Sequence[Needs]) -> str:
    processes = [
        (f"{name}, processes", *(each.processes[name] for each in found)) for name in IMAGE_PATH_SERVICES
    ]
    rows: tuple[tuple[str, Callable[[Needs], object]], ...] = (
        ("partitions needed per topic", _partitions),
        ("one gateway process, MB", lambda each: _known(each.gateway_mb)),
        ("machines for services", lambda each: each.service_machines),
        ("Kafka brokers", lambda each: each.brokers),
        ("MongoDB nodes", lambda each: each.mongo_nodes),
        ("machines in total", lambda each: each.machines),
    )
    return table(COLUMNS, [*processes, *((name, *map(value, found)) for name, value in rows)])


def _partitions(each: Needs) -> str:
    more = f" (there are {PARTITIONS})" if each.too_few_partitions else ""
    return text(each.partitions) + more


def _money(found: Sequence[Needs]) -> str:
    rows: tuple[tuple[str, Callable[[Needs], object]], ...] = (
        ("GPUs", lambda each: each.monthly_cost.gpus),
        ("own machines", lambda each: each.monthly_cost.machines),
        ("storage", lambda each: each.monthly_cost.storage),
        ("total", lambda each: each.monthly_cost.total),
        ("USD per 1 000 images", lambda each: 1000 * each.monthly_cost.total / each.images_per_month),
    )
    columns = ("USD per month at images/s", *COLUMNS[1:])
    return table(columns, ((name, *map(value, found)) for name, value in rows))
