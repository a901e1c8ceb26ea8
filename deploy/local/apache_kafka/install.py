"""Install Apache Kafka into the user's cache: download its jars, then run it once to make the AOT cache."""

import asyncio
import fcntl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.local.apache_kafka.fetching import Report, fetch_all
from deploy.local.apache_kafka.installation import (
    Installation,
    find_installation,
    kafka_version,
    pinned_jars,
)
from deploy.local.apache_kafka.node import Member, node
from deploy.local.ports import Ports
from deploy.local.processes import Process
from deploy.local.servers import Site
from deploy.local.services import basics

AOT_SECONDS = 120.0


async def install(report: Report) -> Installation:
    """Return the installation, after making its missing parts.

    Raises:
        CannotFetchKafka: when a jar cannot be downloaded.
        MissingServer: when the Java wheel is not installed.
        ProcessFailed: when Kafka does not start.
    """
    kafka = find_installation()
    if kafka.complete:
        return kafka
    kafka.folder.parent.mkdir(parents=True, exist_ok=True)
    async with _install_lock(kafka.folder.with_name(f"{kafka.folder.name}.lock"), report):
        if not kafka.folder.exists():
            report(f"Downloading Apache Kafka {kafka_version()} into {kafka.folder} (about 45 MB, once)")
            await asyncio.to_thread(fetch_all, pinned_jars(), kafka.folder, report)
        if not kafka.complete:
            report("Making its AOT cache for quick starts (some seconds, once)")
            await _make_aot_cache(kafka)
            kafka.marker.touch()
    return kafka


async def _make_aot_cache(kafka: Installation) -> None:
    """Start a broker on an empty folder and stop it; Java writes the cache on exit."""
    draft = kafka.aot_cache.with_suffix(".new")
    with tempfile.TemporaryDirectory() as folder:
        ports = Ports({})
        member = Member(1, ports.pick("broker"), ports.pick("controller"))
        site = Site(ports, Path(folder), Path(folder), basics())
        command = node("kafka", 1, [member], site, kafka, f"-XX:AOTCacheOutput={draft}")
        process = await Process.start(command, Path(folder) / "kafka.log")
        try:
            await process.wait_ready()
        finally:
            await process.stop(grace_seconds=AOT_SECONDS)
    if draft.exists():  # a Java without AOT support runs Kafka without the cache
        draft.rename(kafka.aot_cache)
    for left in kafka.folder.glob(f"{draft.name}*"):
        left.unlink()


@asynccontextmanager
async def _install_lock(lock: Path, report: Report) -> AsyncIterator[None]:
    """Hold the install lock; other processes wait and then find Kafka installed."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("Waiting for another process that is installing Apache Kafka")
            await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)
        yield
