"""python -m tests.chaos.broken_builds: builds each fault in, and sees whether the checker reports it."""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.chaos.__main__ import quiet
from tests.chaos.run import Plan, run

EXPECTED = {
    "commit_before_publish": {"lost", "seq_gap"},
    "unguarded_write": {"lost", "seq_gap", "event_changed", "ended_twice"},
    "submit_before_intent": {"unexplained_submission"},
    "forgetful_webhooks": {"missing_notification"},
}
"""What a build with this fault breaks, at least one of it."""
PLAN = Plan(jobs=80, seed=0, seconds=240.0, rest_seconds=60.0, out=Path("out/chaos-broken"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 when a fault was not reported."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.broken_builds", description=__doc__)
    parser.add_argument(
        "faults", nargs="*", default=list(EXPECTED), metavar="FAULT", help=", ".join(EXPECTED)
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    quiet()
    found: dict[str, dict[str, int]] = {}
    for fault in options.faults:
        plan = replace(PLAN, seed=options.seed, broken=fault, out=PLAN.out / fault)
        report = asyncio.run(run(plan))
        found[fault] = dict(Counter(each.kind for each in report.faults))
        for each in report.faults[:10]:
            print(f"{fault}: {each.kind}: {each.where}: {each.what}", flush=True)
    missed = [fault for fault in options.faults if not EXPECTED[fault] & set(found[fault])]
    print(json.dumps({"reported": found, "missed": missed, "seed": options.seed}))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
