"""`make bench-check`: ratios against the last recorded ones. Seconds are another machine's; ratios stay."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bench.figures import Figures

RECORDED: Final = Path(__file__).with_name("recorded.json")
TOLERANCE: Final = 0.2

MORE_IS_BETTER: Final = ("floor_ratio", "celery_ratio", "celery_one_ratio", "temporal_ratio")
LESS_IS_BETTER: Final = ("latency_p50_ratio", "latency_p99_ratio", "growth_ratio", "in_flight_kb")


def recorded() -> Figures:
    """What was recorded last; nothing where nothing was."""
    found: Figures = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    return found


def record(now: Figures) -> None:
    """Keep these from now on; what was not measured this time stays as it was."""
    kept = recorded() | {name: value for name, value in now.items() if value is not None}
    RECORDED.write_text(json.dumps(kept, indent=1) + "\n")


def regressions(now: Mapping[str, object], before: Mapping[str, object]) -> list[str]:
    """Each ratio that is more than a fifth worse than before, in a sentence."""
    found: list[str] = []
    for name in (*MORE_IS_BETTER, *LESS_IS_BETTER):
        new, old = now.get(name), before.get(name)
        if not isinstance(new, int | float) or not isinstance(old, int | float):
            continue
        worse = new < old * (1 - TOLERANCE) if name in MORE_IS_BETTER else new > old * (1 + TOLERANCE)
        if worse:
            found.append(f"{name} was {old:g} and is {new:g}")
    return found
