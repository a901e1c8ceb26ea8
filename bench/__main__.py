"""Run the benchmark, write its report and print the figures as the last line: python -m bench"""

import asyncio
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bench.contestants.all import NAMES
from bench.figures import figures, throughput
from bench.growth import growth
from bench.hops import hops
from bench.in_flight import in_flight
from bench.latency import latency
from bench.out_folder import ForeignFolder, prepare
from bench.regression import NothingToCompare, record, recorded_on, regressions
from bench.results import Machine, Results, now
from bench.rounds import rounds
from bench.scale_out import scale_out
from bench.sizes import FULL, QUICK, Sizes
from bench.startup import startup
from deploy.local.apache_kafka.installation import kafka_version

log = logging.getLogger("bench")

PARTS: Final = ("rounds", "latency", "hops", "in_flight", "growth", "scale_out", "startup")
SEPARATED: Final = "separated by commas"


async def measure(
    folder: Path, sizes: Sizes, names: Sequence[str], parts: Sequence[str]
) -> tuple[Results, list[str]]:
    """Measure the parts in order; return the results and the names of failed parts. Each part is saved at
    once."""
    results, failed = Results(machine=_machine()), list[str]()
    for part in (each for each in PARTS if each in parts):
        start = time.monotonic()
        try:
            results = results.model_copy(update=await _part(part, folder, sizes, names, results))
        except Exception:
            log.exception("%s failed; its results are missing", part)
            failed.append(part)
        results.save(folder)
        log.info("%s took %.0f s", part, time.monotonic() - start)
    return results, failed


async def _part(
    part: str, folder: Path, sizes: Sizes, names: Sequence[str], results: Results
) -> dict[str, Any]:
    if part == "rounds":
        return {"rounds": await rounds(folder, sizes, names)}
    if part == "latency":
        capacity = {name: rate for name in names if (rate := throughput(results.rounds, name))}
        times, idle = await latency(folder, sizes, names, capacity)
        return {"latency": times, "idle": idle}
    if part == "hops":
        return {"hops": await hops(folder, sizes)}
    if part == "in_flight":
        return {"in_flight": await in_flight(folder, sizes)}
    if part == "growth":
        return {"growth": await growth(folder, sizes)}
    if part == "scale_out":
        return {"scale_out": await scale_out(folder, sizes)}
    return {"start_up": await startup(folder)}


def _machine() -> Machine:
    return Machine(
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        broker=_broker(),
        faster_mongo="MONGO_SERVER" in os.environ,
        at=now(),
    )


def _broker() -> str:
    return f"Apache Kafka {kafka_version()}"


app = typer.Typer(pretty_exceptions_enable=False)


@app.command()
def main(
    only: Annotated[str, typer.Option(help=f"contestants, {SEPARATED}")] = ",".join(NAMES),
    parts: Annotated[str, typer.Option(help=f"parts to measure, {SEPARATED}")] = ",".join(PARTS),
    quick: Annotated[bool, typer.Option(help="small sizes and no report, to check that it works")] = False,
    check: Annotated[bool, typer.Option(help="fail when a ratio is a fifth worse than recorded")] = False,
    out: Annotated[Path, typer.Option(help="folder for results, logs and the servers' data")] = Path(
        "out/bench"
    ),
) -> None:
    """Measure this platform beside its alternatives. The last line is a JSON object."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    names, chosen_parts = _chosen(only, NAMES), _chosen(parts, PARTS)
    try:
        before = recorded_on(_broker()) if check else {}
    except NothingToCompare as error:
        raise typer.BadParameter(str(error)) from None
    try:
        prepare(out)
    except ForeignFolder as refusal:
        typer.echo(str(refusal), err=True)
        raise typer.Exit(code=2) from None
    from bench.report import write_report  # fails before hours of measuring if plot libraries are missing

    results, failed = asyncio.run(measure(out.absolute(), QUICK if quick else FULL, names, chosen_parts))
    found = figures(results)
    worse = regressions(found, before)
    if not quick and not check:
        write_report(results)
        if not results.machine.faster_mongo:
            record(found)
    for sentence in worse:
        log.error("worse than recorded: %s", sentence)
    sys.stdout.write(json.dumps(found) + "\n")
    raise typer.Exit(code=bool(worse or failed))


def _chosen(text: str, known: Sequence[str]) -> list[str]:
    chosen = [each.strip() for each in text.split(",") if each.strip()]
    if unknown := set(chosen) - set(known):
        raise typer.BadParameter(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    return chosen


if __name__ == "__main__":
    app()
