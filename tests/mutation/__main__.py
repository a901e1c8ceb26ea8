"""Draw mutants of the rule modules, run the matching tests against each, print the survivors."""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.mutation import cosmic
from tests.mutation.cosmic import Verdict
from tests.mutation.mutants import sample
from tests.mutation.targets import TARGETS

REQUIRED_SHARE = 0.85


def main() -> int:
    """Return 1 if fewer mutants were killed than required."""
    options = _options()
    targets = [each for each in TARGETS if options.only in ("", each.name)]
    with tempfile.TemporaryDirectory(prefix="mutation-") as scratch:
        mutants = list(cosmic.all_mutants(targets, Path(scratch)))
        drawn = sample(mutants, options.mutants, options.seed, cosmic.changes_code)
        verdicts = cosmic.run(drawn, options.workers, Path(scratch))
    print(report(verdicts))
    return int(killed_share(verdicts) < REQUIRED_SHARE)


def killed_share(verdicts: Sequence[Verdict]) -> float:
    """Return the share of mutants with which a test failed."""
    return sum(verdict.killed for verdict in verdicts) / len(verdicts)


def report(verdicts: Sequence[Verdict]) -> str:
    """Return the survivors with what they changed, and the figures per target."""
    lines = [f"\n{each.mutant}\n{each.diff}" for each in verdicts if not each.killed]
    drawn = Counter(each.mutant.target for each in verdicts)
    killed = Counter(each.mutant.target for each in verdicts if each.killed)
    lines += [f"{name:<20}{killed[name]:>5} of {drawn[name]:>4} killed" for name in drawn]
    total = f"{killed.total():>5} of {drawn.total():>4} killed, {killed_share(verdicts):.1%}"
    return "\n".join([*lines, f"{'all':<20}{total}"])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--mutants", type=int, default=500, help="size of the sample (default: 500)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the sample (default: 1)")
    parser.add_argument("--workers", type=int, default=2, help="mutants tested at once (default: 2)")
    names = ["", *(target.name for target in TARGETS)]
    parser.add_argument("--only", choices=names, default="", help="mutate the modules of one target only")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
