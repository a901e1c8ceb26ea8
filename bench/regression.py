"""Comparison of ratios with the recorded ones, which hold on any machine with the same broker: `make
bench-check`."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bench.figures import Figures

RECORDED: Final = Path(__file__).with_name("recorded.json")
TOLERANCE: Final = 0.2

MORE_IS_BETTER: Final = ("floor_ratio", "celery_ratio", "celery_one_ratio", "temporal_ratio")
LESS_IS_BETTER: Final = ("latency_p50_ratio", "latency_p99_ratio", "growth_ratio", "in_flight_kb")


class NothingToCompare(Exception):
    """No figures of this broker are recorded."""


def recorded(file: Path = RECORDED) -> Figures:
    """Return the figures of the last `make bench`, or none."""
    found: Figures = json.loads(file.read_text()) if file.exists() else {}
    return found


def recorded_on(broker: str, file: Path = RECORDED) -> Figures:
    """Return the recorded figures of this broker.

    Raises:
        NothingToCompare: when nothing is recorded, or figures of another broker.
    """
    found = recorded(file)
    if not found:
        raise NothingToCompare(f"nothing to compare with: make bench writes {file.name} first")
    if not _same_broker(found, broker):
        raise NothingToCompare(
            f"nothing is compared: {file.name} has figures of another broker, {found.get('broker')}, "
            f"and this run would be on {broker}. make bench measures and records on this one"
        )
    return found


def record(now: Figures, file: Path = RECORDED) -> None:
    """Write these figures over the recorded ones."""
    file.write_text(json.dumps(merged(now, recorded(file)), indent=1) + "\n")


def merged(now: Figures, before: Figures) -> Figures:
    """Return the measured figures, with the earlier ones of the same broker for the parts not measured."""
    kept = before if _same_broker(before, str(now["broker"])) else {}
    return kept | {name: value for name, value in now.items() if value is not None}


def _same_broker(figures: Figures, broker: str) -> bool:
    """Return True for the same broker in any version, as a new version may be faster or slower."""
    return _without_version(str(figures.get("broker"))) == _without_version(broker)


def _without_version(broker: str) -> str:
    return re.sub(r"\s+[\d.]+$", "", broker)


def regressions(now: Mapping[str, object], before: Mapping[str, object]) -> list[str]:
    """Return a sentence for each ratio that is more than a fifth worse than before."""
    found: list[str] = []
    for name in (*MORE_IS_BETTER, *LESS_IS_BETTER):
        new, old = now.get(name), before.get(name)
        if not isinstance(new, int | float) or not isinstance(old, int | float):
            continue
        worse = new < old * (1 - TOLERANCE) if name in MORE_IS_BETTER else new > old * (1 + TOLERANCE)
        if worse:
            found.append(f"{name} was {old:g} and is {new:g}")
    return found
