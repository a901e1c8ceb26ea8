"""A process dies at the armed crash point and nowhere else."""

import os
import signal
from typing import get_args

import pytest

from services.gateways.kit import crash_points
from services.gateways.kit.crash_points import CrashPoint, crash_point, refuse_unknown_point
from shared.errors import StartupError


def test_a_process_dies_at_its_point_as_if_it_were_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real processes are killed in `tests/e2e/test_crash_points.py`."""
    killed: list[tuple[int, signal.Signals]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    monkeypatch.setattr(crash_points, "_armed", "after_intent")
    for point in get_args(CrashPoint):
        crash_point(point)
    assert killed == [(os.getpid(), signal.SIGKILL)]


def test_without_the_variable_nothing_happens() -> None:
    refuse_unknown_point()
    for point in get_args(CrashPoint):
        crash_point(point)


def test_a_point_that_does_not_exist_is_refused_with_those_that_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crash_points, "_armed", "after_lunch")
    with pytest.raises(StartupError, match=r"after_lunch: unknown crash point; .*after_intent, "):
        refuse_unknown_point()
