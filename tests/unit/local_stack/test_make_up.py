"""The make targets that start a stack, with a recorder in place of the virtual environment's programs."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RECORD = """#!/bin/sh
echo "$(basename "$0") $*" >> "$(dirname "$0")/calls"
"""


def calls_of(target: str, folder: Path) -> list[str]:
    """Return the programs that the target runs in a virtual environment that is set up."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("python", "imagegen", "pip"):
        (programs / name).write_text(RECORD)
        (programs / name).chmod(0o755)
    (folder / ".ready").touch()
    environment = {**os.environ, "KAFKA_BOOTSTRAP": "kafka.example:9092"}
    command = ["make", "--no-print-directory", f"VENV={folder}", target]
    subprocess.run(command, check=True, cwd=ROOT, env=environment, capture_output=True, timeout=20)
    return (programs / "calls").read_text().splitlines()


@pytest.mark.parametrize(
    ("target", "call"),
    [
        ("up", "imagegen up"),
        ("demo", "imagegen demo"),
        ("kafka-up", "python -m deploy.local up --only broker"),
    ],
)
def test_a_target_that_starts_a_stack_leaves_the_installation_of_kafka_to_it(
    target: str, call: str, tmp_path: Path
) -> None:
    [only] = calls_of(target, tmp_path)
    assert only.startswith(call)


def test_targets_that_always_start_kafka_install_it_first(tmp_path: Path) -> None:
    installs, runs = calls_of("chaos-short", tmp_path)
    assert (installs, runs.split(" --")[0]) == (
        "python -m deploy.local.apache_kafka",
        "python -m tests.chaos",
    )
