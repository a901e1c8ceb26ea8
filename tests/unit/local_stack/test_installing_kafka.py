"""What the installation of Apache Kafka needs, and how a node is launched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.apache_kafka.__main__ import CannotInstall, need_java_and_maven
from deploy.local.apache_kafka.installation import java_version
from deploy.local.apache_kafka.node import LAUNCH


def a_program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def says(version: str) -> str:
    return f"echo 'openjdk version \"{version}\" 2025-04-15' >&2"


@pytest.mark.parametrize(("said", "version"), [("17.0.15", 17), ("21", 21), ("1.8.0_392", 8)])
def test_a_javas_version_is_read(tmp_path: Path, said: str, version: int) -> None:
    assert java_version(a_program(tmp_path, "java", says(said))) == version


def test_what_is_no_java_has_no_version(tmp_path: Path) -> None:
    assert java_version(a_program(tmp_path, "java", "echo no")) == 0


@pytest.mark.parametrize("programs", [{}, {"java": says("17.0.1")}, {"java": says("11.0.2"), "mvn": ""}])
def test_missing_or_old_programs_are_named_with_debians_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, programs: dict[str, str]
) -> None:
    for name, script in programs.items():
        a_program(tmp_path, name, script)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(CannotInstall, match=r"Java 17 or newer and Maven.*default-jre-headless maven"):
        need_java_and_maven()


def test_the_java_of_java_home_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    a_program(tmp_path, "java", says("11.0.2"))
    a_program(tmp_path, "mvn", "")
    newer = a_program(tmp_path / "bin", "java", says("21.0.1"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert need_java_and_maven() == (newer, tmp_path / "mvn")


def launch(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    java = a_program(folder, "java", script)
    command = [
        sys.executable,
        str(LAUNCH),
        "config",
        str(folder / "log"),
        "-cluster",
        str(java),
        "-cp",
        "jars",
    ]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=dict(os.environ))


def test_a_log_directory_is_formatted_once_and_the_launcher_becomes_the_broker(tmp_path: Path) -> None:
    first, second = (launch(tmp_path, "echo $@").stdout.splitlines() for _ in range(2))
    assert first == [
        "-cp jars kafka.tools.StorageTool format --cluster-id=-cluster -c config",
        "-cp jars kafka.Kafka config",
    ]
    assert second == ["-cp jars kafka.Kafka config"]


def test_what_was_left_half_formatted_is_formatted_anew(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "meta.properties").touch()
    failed = launch(tmp_path, "exit 1")
    assert failed.returncode == 1
    assert not (tmp_path / "log").exists()
    assert len(launch(tmp_path, "echo $@").stdout.splitlines()) == 2
