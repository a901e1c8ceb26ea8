"""Downloading the pinned jars of Apache Kafka, and launching a node."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jgo.maven import MavenContext

from deploy.local.apache_kafka.fetching import (
    MAX_LISTED,
    MAX_PARALLEL,
    REPOSITORY,
    CannotFetchKafka,
    Fetch,
    fetch_all,
    repository_address,
)
from deploy.local.apache_kafka.installation import Jar, cache_folder, kafka_version, pinned_jars
from deploy.local.apache_kafka.node import LAUNCH


def a_jar(name: str, content: bytes) -> Jar:
    return Jar("org.example", name, "1.0", hashlib.sha256(content).hexdigest())


def serving(contents: dict[str, bytes]) -> Fetch:
    """Return a Maven repository that has these artifacts."""

    def fetch(jar: Jar, cache: Path) -> Path:
        if jar.artifact not in contents:
            raise RuntimeError(f"not found in https://repository.invalid/{jar.artifact}")
        cache.mkdir(exist_ok=True)
        file = cache / jar.file_name
        file.write_bytes(contents[jar.artifact])
        return file

    return fetch


ONE, TWO = a_jar("one", b"1"), a_jar("two", b"2")


JARS = [a_jar(f"jar-{number:02}", b"x") for number in range(46)]
TRIES = 3
AT_ONCE_PAUSES = (0.0,) * (TRIES - 1)


def nothing(_: str) -> None:
    """Drop a line of progress."""


def fetch_at_once(jars: list[Jar], folder: Path, fetch: Fetch) -> None:
    """Download without pauses between tries."""
    fetch_all(jars, folder, nothing, fetch, AT_ONCE_PAUSES)


def test_every_jar_is_pinned_by_coordinates_and_hash() -> None:
    jars = pinned_jars()
    assert len({jar.file_name for jar in jars}) == len(jars) > 40
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) for jar in jars)
    assert kafka_version() in {jar.version for jar in jars if jar.artifact == "kafka-clients"}


def test_jars_that_have_the_pinned_bytes_are_put_into_the_folder(tmp_path: Path) -> None:
    lines: list[str] = []
    fetch_all([ONE, TWO], tmp_path / "kafka", lines.append, serving({"one": b"1", "two": b"2"}))
    assert sorted(file.name for file in (tmp_path / "kafka").iterdir()) == ["one-1.0.jar", "two-1.0.jar"]
    assert lines == ["  2 of 2 jars"]


def test_a_jar_with_other_bytes_is_not_installed(tmp_path: Path) -> None:
    with pytest.raises(CannotFetchKafka, match=r"org\.example:two:1\.0: its SHA-256 is"):
        fetch_at_once([ONE, TWO], tmp_path / "kafka", serving({"one": b"1", "two": b"changed"}))
    assert list(tmp_path.iterdir()) == [], "neither a folder nor a partial one"


def test_missing_jars_are_named_with_two_remedies(tmp_path: Path) -> None:
    with pytest.raises(CannotFetchKafka) as failure:
        fetch_at_once([ONE, TWO], tmp_path / "kafka", serving({}))
    text = str(failure.value)
    for part in ("org.example:one:1.0", "org.example:two:1.0", "MAVEN_REPOSITORY=URL"):
        assert part in text
    assert "KAFKA_BOOTSTRAP=host:port make up" in text
    assert "repository.invalid" not in text


def test_a_repository_that_lacks_everything_is_tried_for_every_jar_and_some_are_named(
    tmp_path: Path,
) -> None:
    with pytest.raises(CannotFetchKafka, match="46 of its jars") as failure:
        fetch_at_once(JARS, tmp_path / "kafka", serving({}))
    text = str(failure.value)
    assert text.count("org.example:jar-") == MAX_LISTED
    assert f"and {len(JARS) - MAX_LISTED} more" in text


def test_an_unreachable_repository_is_given_up_after_the_first_jars(tmp_path: Path) -> None:
    tried: list[str] = []

    def silent(jar: Jar, _: Path) -> Path:
        tried.append(jar.artifact)
        raise TimeoutError

    with pytest.raises(CannotFetchKafka) as failure:
        fetch_at_once(JARS, tmp_path / "kafka", silent)
    assert len(set(tried)) <= MAX_PARALLEL
    assert "no answer (TimeoutError)" in str(failure.value)
    assert "more were not tried after that" in str(failure.value)
    assert list(tmp_path.iterdir()) == []


def test_the_error_names_the_address_of_the_repository_without_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REPOSITORY, "https://me:hunter2@mirror.example/maven2?token=hunter3")
    with pytest.raises(CannotFetchKafka, match=r"from https://mirror\.example/maven2 \(MAVEN_REP") as failure:
        fetch_at_once([ONE], tmp_path / "kafka", serving({}))
    assert "hunter" not in str(failure.value)


def test_the_default_repository_is_that_of_the_client() -> None:
    [central] = MavenContext().remote_repos.values()
    assert repository_address({}) == f"Maven Central, {central}"


def test_a_jar_that_arrives_at_the_second_try_is_installed(tmp_path: Path) -> None:
    tries: list[str] = []
    serve = serving({"one": b"1"})

    def stutter(jar: Jar, cache: Path) -> Path:
        tries.append(jar.artifact)
        if len(tries) == 1:
            raise ConnectionResetError
        return serve(jar, cache)

    fetch_at_once([ONE], tmp_path / "kafka", stutter)
    assert (tmp_path / "kafka" / "one-1.0.jar").read_bytes() == b"1"


def test_another_java_has_another_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("25.0.2").parent == tmp_path / "imagegen"
    assert cache_folder("25.0.2") != cache_folder("25.0.3")


def launched(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    java = folder / "java"
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)
    arguments = ["config", str(folder / "log"), "-cluster", str(java), "-cp", "jars"]
    command = [sys.executable, str(LAUNCH), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=dict(os.environ))


def test_a_log_directory_is_formatted_once_and_the_launcher_becomes_the_broker(tmp_path: Path) -> None:
    first, second = (launched(tmp_path, "echo $@").stdout.splitlines() for _ in range(2))
    assert first == [
        "-cp jars kafka.tools.StorageTool format --cluster-id=-cluster -c config",
        "-cp jars kafka.Kafka config",
    ]
    assert second == ["-cp jars kafka.Kafka config"]


def test_a_half_formatted_directory_is_formatted_again(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "meta.properties").touch()
    failed = launched(tmp_path, "exit 1")
    assert failed.returncode == 1
    assert not (tmp_path / "log").exists()
    assert len(launched(tmp_path, "echo $@").stdout.splitlines()) == 2
