"""A process dies where a test wants it, and nowhere else."""

import os
import signal
import subprocess
import sys

from services.gateways.runtime.crash_points import VARIABLE

WALK = """
from services.gateways.runtime.crash_points import crash_point, refuse_unknown_point
refuse_unknown_point()
for point in ("after_intake", "after_intent", "after_send"):
    print(point, flush=True)
    crash_point(point)
"""


def walk(**environment: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return subprocess.run(
        [sys.executable, "-c", WALK], env=known | environment, capture_output=True, text=True, check=False
    )


def test_a_process_dies_at_its_point_as_if_it_were_killed() -> None:
    ended = walk(**{VARIABLE: "after_intent"})
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.split() == ["after_intake", "after_intent"]


def test_without_the_variable_nothing_happens() -> None:
    ended = walk()
    assert (ended.returncode, len(ended.stdout.split())) == (0, 3)


def test_a_point_that_does_not_exist_is_refused_with_those_that_do() -> None:
    ended = walk(**{VARIABLE: "after_lunch"})
    assert ended.returncode == 1
    assert "after_lunch: no such point" in ended.stderr
    assert "after_intent, " in ended.stderr
