"""`python -m tests.chaos`: inject faults into a running platform and report lost and doubled work."""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from random import SystemRandom

from tests.chaos.plan import Plan
from tests.chaos.run import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument(
        "--seed", type=int, default=None, help="the same seed plans the same; default: a new one"
    )
    parser.add_argument("--minutes", type=float, default=28.0, help="upper limit of the run")
    parser.add_argument("--out", type=Path, default=Path("out/chaos"))
    parser.add_argument("--instances", type=int, default=2, help="of each service")
    parser.add_argument(
        "--outages",
        type=float,
        metavar="SECONDS",
        help="disconnect each server for this time instead of killing processes",
    )
    parser.add_argument(
        "--broken", default=None, help="inject this fault into the services (tests.chaos.broken)"
    )
    options = parser.parse_args(arguments)
    quiet()
    seed = SystemRandom().randrange(10**6) if options.seed is None else options.seed
    plan = Plan(
        jobs=options.jobs,
        seed=seed,
        seconds=60 * options.minutes,
        out=options.out,
        instances=options.instances,
        broken=options.broken,
        outages=options.outages,
    )
    report = asyncio.run(run(plan))
    for fault in report.faults[:40]:
        print(f"{fault.kind}: {fault.where}: {fault.what}")
    (options.out / "report.json").write_text(json.dumps(report.whole(), indent=2) + "\n")
    print(json.dumps(report.last_line()))
    return 1 if report.faults else 0


def quiet() -> None:
    """Configure the log of the run; leave out the clients of the servers that the run breaks."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    logging.getLogger("httpx").setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
