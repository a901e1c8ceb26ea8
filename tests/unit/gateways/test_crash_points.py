"""A process dies where a test wants it, and nowhere else."""

import os
import signal
import subprocess
import sys
from typing import get_args

import pytest

from services.gateways.runtime import crash_points
from services.gateways.runtime.crash_points import VARIABLE, CrashPoint, crash_point, refuse_unknown_point
from shared.errors import StartupError

WALK = """
from services.gateways.runtime.crash_points import crash_point
for point in ("after_intake", "after_intent", "after_send"):
    print(point, flush=True)
    crash_point(point)
"""


def test_a_process_dies_at_its_point_as_if_it_were_killed() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WALK],
        env=os.environ | {VARIABLE: "after_intent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.split() == ["after_intake", "after_intent"]


def test_without_the_variable_nothing_happens() -> None:
    refuse_unknown_point()
    for point in get_args(CrashPoint):
        crash_point(point)


def test_a_point_that_does_not_exist_is_refused_with_those_that_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crash_points, "_armed", "after_lunch")
    with pytest.raises(StartupError, match=r"after_lunch: no such point; .*after_intent, "):
        refuse_unknown_point()
