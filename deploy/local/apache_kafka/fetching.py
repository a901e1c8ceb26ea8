"""Download the pinned jars with jgo, a Maven client in Python, and check each one's SHA-256."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, MutableMapping, Sequence
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
MAX_PARALLEL = 8
PAUSES = (1.0, 2.0)
"""Seconds before the second and the third try of a jar."""
OF_REQUESTS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables that `requests` reads by itself."""
CONNECT_SECONDS = 5
ANSWER_SECONDS = 15
MAX_LISTED = 8
"""Maximum number of jars that an error lists; an unreachable repository fails all of them alike."""


@dataclass(frozen=True)
class Failure:
    """A jar that could not be downloaded."""

    jar: Jar
    reason: str
    answered: bool = True
    tried: bool = True


class CannotFetchKafka(Exception):
    """A jar could not be downloaded, or its bytes differ from the pinned ones."""

    def __init__(self, failures: Sequence[Failure], repository: str) -> None:
        tried = sorted((each for each in failures if each.tried), key=lambda each: each.jar.coordinates)
        lines = [f"  {each.jar.coordinates}: {each.reason}" for each in tried[:MAX_LISTED]]
        if tried[MAX_LISTED:]:
            lines.append(f"  and {len(tried[MAX_LISTED:])} more")
        if untried := len(failures) - len(tried):
            lines.append(f"  ({untried} more were not tried after that)")
        super().__init__(
            f"Cannot install Apache Kafka: {len(tried)} of its jars could not be downloaded "
            f"from {repository}:\n"
            + "\n".join(lines)
            + "\nEither make that address reachable (proxy variables such as HTTPS_PROXY are honoured; "
            f"{REPOSITORY}=URL names another Maven repository; SSL_CERT_FILE or REQUESTS_CA_BUNDLE names "
            "the certificate of an authority of your own), or use an existing Kafka: "
            "KAFKA_BOOTSTRAP=host:port make up"
        )


def fetch_all(
    jars: Sequence[Jar],
    folder: Path,
    report: Report,
    fetch: Fetch | None = None,
    pauses: Sequence[float] = PAUSES,
) -> None:
    """Download every jar into the folder, which appears only when it is complete.

    The first jar whose repository does not answer after all tries stops the download.

    Raises:
        CannotFetchKafka: naming the repository and the coordinates of the missing jars.
    """
    trust(os.environ)
    draft = Path(tempfile.mkdtemp(dir=folder.parent))
    failures: list[Failure] = []
    stop = Event()

    def fetch_one(jar: Jar) -> Failure | None:
        return _fetch_one(jar, draft, fetch or from_maven, pauses, stop)

    try:
        with ThreadPoolExecutor(MAX_PARALLEL) as pool:
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
    """Download one jar into the draft folder, or return the failure of its last try.

    A repository that does not answer stops the downloads of all jars.
    """
    failure = Failure(jar, "not tried", tried=False)
    for pause in (0.0, *pauses):
        if stop.wait(pause):
            break
        try:
            found = fetch(jar, draft / "repository")
        except RuntimeError:  # raised by jgo for any status but 200
            failure = Failure(jar, "not found, or access refused")
            continue
        except Exception as error:  # errors of requests, OSError
            failure = Failure(jar, _reason(error), answered=False)
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


def _reason(error: Exception) -> str:
    if type(error).__name__ == "SSLError":
        return "the certificate of the repository, or of a proxy before it, is not trusted (SSLError)"
    return f"no answer ({type(error).__name__})"


def trust(environment: MutableMapping[str, str]) -> None:
    """Have `requests`, which jgo uses, honour `SSL_CERT_FILE` and `SSL_CERT_DIR` as all other clients do."""
    authorities = environment.get("SSL_CERT_FILE") or environment.get("SSL_CERT_DIR")
    if authorities and not any(environment.get(name) for name in OF_REQUESTS):
        environment["REQUESTS_CA_BUNDLE"] = authorities


def from_maven(jar: Jar, repository_cache: Path) -> Path:
    """Download one jar from Maven Central, or from MAVEN_REPOSITORY where that is set."""
    from jgo.maven import MavenContext

    other = os.environ.get(REPOSITORY)
    timeout: Any = (CONNECT_SECONDS, ANSWER_SECONDS)  # jgo passes it to requests, which accepts a pair
    context = MavenContext(
        repo_cache=repository_cache,
        remote_repos={"own": other.rstrip("/")} if other else None,
        timeout=timeout,
    )
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    return Path(component.artifact().resolve())


def repository_address(environment: Mapping[str, str]) -> str:
    """Return the address of the repository, without user, password and query."""
    if other := environment.get(REPOSITORY):
        url = urlsplit(other)
        shown = url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()
        return f"{shown} ({REPOSITORY})"
    from jgo.maven import MavenContext

    return f"Maven Central, {', '.join(MavenContext().remote_repos.values())}"
