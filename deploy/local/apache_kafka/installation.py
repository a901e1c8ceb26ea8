"""Where Apache Kafka lies on this machine: its jars in the user's cache, and a Java that runs them."""

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from deploy.local.missing import MissingServer

POM = Path(__file__).with_name("pom.xml")
INSTALL = "python -m deploy.local.apache_kafka"
OLDEST_JAVA = 17


@dataclass(frozen=True)
class Installation:
    """One version of Kafka. The archive holds its classes as Java has them in memory: half the start-up."""

    folder: Path
    java: Path

    @property
    def archive(self) -> Path:
        return self.folder / "classes.jsa"

    @property
    def classpath(self) -> str:
        return os.pathsep.join(str(jar) for jar in sorted(self.folder.glob("*.jar")))


def find_installation() -> Installation:
    """What `make kafka-up` has put there.

    Raises:
        MissingServer: with the command that installs it.
    """
    java, folder = find_java(), cache_folder()
    if java is None or not folder.exists():
        raise MissingServer("Apache Kafka", f"{INSTALL} (or a make target with KAFKA=apache)")
    return Installation(folder, java)


def cache_folder() -> Path:
    """Named by all that lies in it, so that another pom.xml is another folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:8]
    return Path(cache) / "imagegen" / f"apache-kafka-{version()}-{digest}"


def version() -> str:
    """Of Kafka, as pom.xml says."""
    found = ElementTree.parse(POM).findtext("{http://maven.apache.org/POM/4.0.0}version")
    assert found, f"{POM} names no version"
    return found


def find_java() -> Path | None:
    """The one of JAVA_HOME, else the one on the PATH."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    return Path(found) if found else None


def java_version(java: Path) -> int:
    """17 for `openjdk version "17.0.15"`, 8 for `"1.8.0_392"`; 0 for what is no Java."""
    said = subprocess.run([java, "-version"], check=False, capture_output=True, text=True).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found[1]) if found else 0
