"""Fetch the pinned jars with jgo, a Maven client in Python, and check each one's SHA-256."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from deploy.local.apache_kafka.installation import Jar

Fetch = Callable[[Jar, Path], Path]
Report = Callable[[str], None]

REPOSITORY = "MAVEN_REPOSITORY"
AT_ONCE = 8
PAUSES = (1.0, 2.0)
"""Seconds before the second and the third try of a jar."""
CONNECT_SECONDS = 5
ANSWER_SECONDS = 15
SHOWN = 8
"""Jars that an error names; a repository without an answer fails for all of them alike."""


@dataclass(frozen=True)
class Failure:
    """A jar that did not come."""

    jar: Jar
    reason: str
    answered: bool = True
    asked: bool = True


class CannotFetchKafka(Exception):
    """A jar did not come, or came with other bytes than the pinned ones."""

    def __init__(self, failures: Sequence[Failure], repository: str) -> None:
        asked = sorted((each for each in failures if each.asked), key=lambda each: each.jar.coordinates)
        lines = [f"  {each.jar.coordinates}: {each.reason}" for each in asked[:SHOWN]]
        if asked[SHOWN:]:
            lines.append(f"  and {len(asked[SHOWN:])} more")
        if untried := len(failures) - len(asked):
            lines.append(f"  ({untried} more were not asked for after that)")
        super().__init__(
            f"Cannot fetch Apache Kafka. {len(asked)} of its jars could not be had from {repository}:\n"
            + "\n".join(lines)
            + "\nEither make that address reachable (proxy variables such as HTTPS_PROXY are honoured; "
            f"{REPOSITORY}=URL names another Maven repository), or use a Kafka of your own: "
            "KAFKA_BOOTSTRAP=host:port make up"
        )


def fetch_all(
    jars: Sequence[Jar],
    folder: Path,
    report: Report,
    fetch: Fetch | None = None,
    pauses: Sequence[float] = PAUSES,
) -> None:
    """Put every jar into the folder, which appears only when it is complete.

    The first jar without an answer after all tries ends the whole: without it there is no installation.

    Raises:
        CannotFetchKafka: naming the repository and the coordinates that did not come from it.
    """
    draft = Path(tempfile.mkdtemp(dir=folder.parent))
    failures: list[Failure] = []
    stop = Event()

    def fetch_one(jar: Jar) -> Failure | None:
        return _fetch_one(jar, draft, fetch or from_maven, pauses, stop)

    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for done, future in enumerate(as_completed([pool.submit(fetch_one, jar) for jar in jars]), 1):
                if failure := future.result():
                    failures.append(failure)
                fetched = done - len(failures)
                if fetched and (done % 10 == 0 or done == len(jars)):
                    report(f"  {fetched} of {len(jars)} jars")
        if failures:
            raise CannotFetchKafka(failures, repository_address(os.environ))
        shutil.rmtree(draft / "repository", ignore_errors=True)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _fetch_one(jar: Jar, draft: Path, fetch: Fetch, pauses: Sequence[float], stop: Event) -> Failure | None:
    """Put one jar into the draft, or return the failure of its last try; stop all if that had no answer."""
    failure = Failure(jar, "not asked for", asked=False)
    for pause in (0.0, *pauses):
        if stop.wait(pause):
            break
        try:
            found = fetch(jar, draft / "repository")
        except RuntimeError:  # jgo: any status but 200
            failure = Failure(jar, "not found there, or refused")
            continue
        except Exception as error:  # errors of requests, OSError
            failure = Failure(jar, f"no answer ({type(error).__name__})", answered=False)
            continue
        digest = hashlib.sha256(found.read_bytes()).hexdigest()
        if digest == jar.sha256:
            found.rename(draft / jar.file_name)
            return None
        found.unlink()
        failure = Failure(jar, f"its SHA-256 is {digest}, {jar.sha256} is pinned")
    if not failure.answered:
        stop.set()
    return failure


def from_maven(jar: Jar, repository_cache: Path) -> Path:
    """Download one jar from Maven Central, or from MAVEN_REPOSITORY where that is set."""
    from jgo.maven import MavenContext

    other = os.environ.get(REPOSITORY)
    timeout: Any = (CONNECT_SECONDS, ANSWER_SECONDS)  # jgo hands it to requests, which takes both
    context = MavenContext(
        repo_cache=repository_cache,
        remote_repos={"own": other.rstrip("/")} if other else None,
        timeout=timeout,
    )
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    return Path(component.artifact().resolve())


def repository_address(environment: Mapping[str, str]) -> str:
    """Return the address that is asked, without user, password and query."""
    if other := environment.get(REPOSITORY):
        url = urlsplit(other)
        shown = url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()
        return f"{shown} ({REPOSITORY})"
    from jgo.maven import MavenContext

    return f"Maven Central, {', '.join(MavenContext().remote_repos.values())}"
