"""Fetch the pinned jars with jgo, a Maven client in Python, and check each one's SHA-256."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from deploy.local.apache_kafka.installation import Jar

Fetch = Callable[[Jar, Path], Path]
Report = Callable[[str], None]

REPOSITORY = "MAVEN_REPOSITORY"
AT_ONCE = 8
TRIES = 3
ANSWER_SECONDS = 30


class CannotFetchKafka(Exception):
    """A jar did not come, or came with other bytes than the pinned ones."""

    def __init__(self, failures: Sequence[tuple[Jar, str]]) -> None:
        asked = "\n".join(f"  {jar.coordinates}: {reason}" for jar, reason in failures)
        super().__init__(
            f"Cannot fetch Apache Kafka. {len(failures)} of its jars could not be had:\n{asked}\n"
            f"They were asked for at {_source()}. Either make that reachable (proxy variables such as "
            f"HTTPS_PROXY are honoured; {REPOSITORY}=URL names another Maven repository), or use a Kafka of "
            "your own: KAFKA_BOOTSTRAP=host:port make up"
        )


def fetch_all(jars: Sequence[Jar], folder: Path, report: Report, fetch: Fetch | None = None) -> None:
    """Put every jar into the folder, which appears only when it is complete.

    Raises:
        CannotFetchKafka: naming the coordinates of all that did not come.
    """
    draft = Path(tempfile.mkdtemp(dir=folder.parent))
    failures: list[tuple[Jar, str]] = []
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            running = {pool.submit(_fetch_one, jar, draft, fetch or from_maven): jar for jar in jars}
            for done, future in enumerate(as_completed(running), 1):
                if reason := future.result():
                    failures.append((running[future], reason))
                if done % 10 == 0 or done == len(jars):
                    report(f"  {done} of {len(jars)} jars")
        if failures:
            raise CannotFetchKafka(sorted(failures, key=lambda failure: failure[0].coordinates))
        shutil.rmtree(draft / "repository", ignore_errors=True)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _fetch_one(jar: Jar, draft: Path, fetch: Fetch) -> str | None:
    """Return the reason why the jar did not come, or None."""
    reason = ""
    for _ in range(TRIES):
        try:
            found = fetch(jar, draft / "repository")
        except Exception as error:  # jgo raises RuntimeError, requests' errors, OSError
            reason = _in_words(error)
            continue
        digest = hashlib.sha256(found.read_bytes()).hexdigest()
        if digest == jar.sha256:
            found.rename(draft / jar.file_name)
            return None
        found.unlink()
        reason = f"its SHA-256 is {digest}, {jar.sha256} is pinned"
    return reason


def from_maven(jar: Jar, repository_cache: Path) -> Path:
    """Download one jar from Maven Central, or from MAVEN_REPOSITORY where that is set."""
    from jgo.maven import MavenContext

    other = os.environ.get(REPOSITORY)
    context = MavenContext(
        repo_cache=repository_cache,
        remote_repos={"own": other.rstrip("/")} if other else None,
        timeout=ANSWER_SECONDS,
    )
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    return Path(component.artifact().resolve())


def _source() -> str:
    return f"the repository of {REPOSITORY}" if os.environ.get(REPOSITORY) else "Maven Central"


def _in_words(error: Exception) -> str:
    """Return one line: the names of addresses and library classes help nobody here."""
    if isinstance(error, RuntimeError):
        return "not found there"
    return f"no answer ({type(error).__name__})"
