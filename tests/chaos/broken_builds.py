"""`python -m tests.chaos.broken_builds`: inject each fault and verify that the checker reports it."""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from tests.chaos.__main__ import quiet
from tests.chaos.faults import Kind
from tests.chaos.plan import Plan
from tests.chaos.run import run

NO_FAULT = "no_fault"
EXPECTED: dict[str, frozenset[Kind]] = {
    NO_FAULT: frozenset(),
    "two_at_once": frozenset(),
    "commit_before_publish": frozenset({"lost", "seq_gap"}),
    "unguarded_write": frozenset({"seq_gap", "event_changed", "ended_twice"}),
    "submit_before_intent": frozenset({"unexplained_submission"}),
    "forgetful_webhooks": frozenset({"missing_notification"}),
}
"""Kinds of faults of which the checker must report at least one; a slow run alone causes none of them.
A control has none: the checker must report nothing."""
PLAN = Plan(jobs=80, seed=0, seconds=300.0, rest_seconds=80.0, out=Path("out/chaos-broken"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 1 when a fault was not reported, or one was reported for a control."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.broken_builds", description=__doc__)
    parser.add_argument(
        "faults", nargs="*", default=list(EXPECTED), metavar="FAULT", help=", ".join(EXPECTED)
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if unknown := set(options.faults) - set(EXPECTED):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(EXPECTED)}")
    quiet()
    found: dict[str, dict[str, int]] = {}
    for fault in options.faults:
        broken = None if fault == NO_FAULT else fault
        plan = replace(PLAN, seed=options.seed, broken=broken, out=PLAN.out / fault)
        report = asyncio.run(run(plan))
        found[fault] = dict(Counter(each.kind for each in report.faults))
        for each in report.faults[:10]:
            print(f"{fault}: {each.kind}: {each.where}: {each.what}", flush=True)
    wrong = [fault for fault in options.faults if not as_expected(fault, set(found[fault]))]
    print(json.dumps({"reported": found, "wrong": wrong, "seed": options.seed}))
    return 1 if wrong else 0


def as_expected(fault: str, kinds: Collection[str]) -> bool:
    """Return whether the checker reported the expected kinds for a build, or nothing for a control."""
    expected = EXPECTED[fault]
    return bool(expected & set(kinds)) if expected else not kinds


if __name__ == "__main__":
    sys.exit(main())
