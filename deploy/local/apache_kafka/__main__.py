"""python -m deploy.local.apache_kafka: install Apache Kafka for this user, unless it is there"""

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.apache_kafka.installation import (
    OLDEST_JAVA,
    POM,
    Installation,
    cache_folder,
    find_java,
    java_version,
    version,
)
from deploy.local.apache_kafka.node import Member, node
from deploy.local.ports import Ports
from deploy.local.processes import Process, ProcessFailed
from deploy.local.servers import Site
from deploy.local.services import basics

PACKAGES = ("default-jre-headless", "maven")
FETCH_SECONDS = 900
ARCHIVE_SECONDS = 120.0


class CannotInstall(Exception):
    """Something that only the user can mend."""


def main() -> int:
    try:
        java, maven = need_java_and_maven()
        install(java, maven)
    except (CannotInstall, ProcessFailed) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def need_java_and_maven() -> tuple[Path, Path]:
    """Both; root gets what is missing from Debian's packages.

    Raises:
        CannotInstall: naming the packages.
    """
    if not (found := _java_and_maven()) and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {' and '.join(PACKAGES)}", flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for step in (("update", "-qq"), ("install", "-y", "-qq", "--no-install-recommends", *PACKAGES)):
            subprocess.run(["apt-get", *step], check=False, env=environment, stdout=subprocess.DEVNULL)
        found = _java_and_maven()
    if not found:
        raise CannotInstall(
            f"Apache Kafka needs Java {OLDEST_JAVA} or newer and Maven; on Debian: "
            f"sudo apt-get install {' '.join(PACKAGES)} (another Java: set JAVA_HOME)"
        )
    return found


def _java_and_maven() -> tuple[Path, Path] | None:
    java, maven = find_java(), shutil.which("mvn")
    if java is None or maven is None or java_version(java) < OLDEST_JAVA:
        return None
    return java, Path(maven)


def install(java: Path, maven: Path) -> None:
    """Fetch the jars, then run a broker once, which leaves the archive of its classes."""
    kafka = Installation(cache_folder(), java)
    kafka.folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(kafka.folder.with_name(f"{kafka.folder.name}.lock")):
        if not kafka.folder.exists():
            print(f"fetching Apache Kafka {version()} into {kafka.folder} (about 45 MB, once)", flush=True)
            _fetch(maven, kafka.folder)
        if not kafka.archive.exists():
            asyncio.run(_archive(kafka))


def _fetch(maven: Path, folder: Path) -> None:
    draft = Path(tempfile.mkdtemp(dir=folder.parent))
    goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={draft}")
    command = [str(maven), "--batch-mode", "--quiet", "-f", str(POM), *goal]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=FETCH_SECONDS)
        if done.returncode:
            raise CannotInstall(f"Maven could not fetch Apache Kafka:\n{(done.stdout + done.stderr)[-3000:]}")
        draft.rename(folder)
    except subprocess.TimeoutExpired:
        raise CannotInstall(f"Maven did not fetch Apache Kafka within {FETCH_SECONDS} s") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


async def _archive(kafka: Installation) -> None:
    draft = kafka.archive.with_suffix(".new")
    with tempfile.TemporaryDirectory() as folder:
        ports = Ports({})
        member = Member(1, ports.pick("broker"), ports.pick("controller"))
        site = Site(ports, Path(folder), Path(folder), basics())
        command = node("kafka", 1, [member], site, kafka, f"-XX:ArchiveClassesAtExit={draft}")
        process = await Process.start(command, Path(folder) / "kafka.log")
        try:
            await process.wait_ready()
        finally:
            await process.stop(grace_seconds=ARCHIVE_SECONDS)
    draft.rename(kafka.archive)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Two who install at once would fetch twice, and write one archive together."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
