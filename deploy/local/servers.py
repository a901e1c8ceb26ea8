"""Command lines of the database, the object store and the simulators."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.missing import MissingServer
from deploy.local.ports import GRPC_OFFSET, HOST, Ports
from deploy.local.probes import accepts, all_of, answers
from deploy.local.processes import Command

ROOT = Path(__file__).parents[2]
BUCKET = "imagegen"
STORES = ("mongo", "s3")
SIMULATORS = ("modal", "comfyui", "fal")
WEED_PARTS = ("s3", "master", "volume", "filer", "admin")


@dataclass(frozen=True)
class Site:
    """The ports, folders and environment of a stack, for its command lines."""

    ports: Ports
    data: Path
    temporary: Path
    environment: dict[str, str]
    proxy_ports: Mapping[str, int] = field(default_factory=dict)
    """Ports of the proxies in front of servers, by the server's name."""
    simulated: tuple[str, ...] = SIMULATORS
    """The providers that are simulated."""


def mongo(site: Site) -> Command:
    """Return the command of SecantusDB: the MongoDB protocol, stored on disk."""
    port = site.ports.pick("mongo")
    storage = site.data / "mongo"
    storage.mkdir(exist_ok=True)
    settings = site.data / "mongo.toml"  # empty, which keeps the server from reading the user's file
    settings.touch()
    options = f"--host {HOST} --port {port} --standalone --log-level WARNING".split()
    paths = ("--config", str(settings), "--storage-path", str(storage))
    return Command(
        name="mongo",
        kind="server",
        arguments=(*_mongo_program(), *options, *paths),
        environment=site.environment,
        directory=site.data,
        ports=(port,),
        address=f"{HOST}:{port}",
        ready=accepts(port),
    )


def _mongo_program() -> tuple[str, ...]:
    """Return the program of SecantusDB: the one from PyPI, or the one that MONGO_SERVER names."""
    other = os.environ.get("MONGO_SERVER")
    return (other,) if other else (sys.executable, "-m", "secantus")


def s3(site: Site, access_key: str, secret_key: str) -> Command:
    """Return the command of SeaweedFS: S3, stored on disk.

    Its worker connects to the admin port plus 10 000; no option changes that.
    """
    port = {part: site.ports.pick(f"s3.{part}", with_grpc=True) for part in WEED_PARTS}
    storage = site.data / "s3"
    storage.mkdir(exist_ok=True)
    grpc = {part: port[part] + GRPC_OFFSET for part in WEED_PARTS}
    keys = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}
    return Command(
        name="s3",
        kind="server",
        arguments=(_weed(), "mini", *_weed_options(storage, port, grpc)),
        environment={**site.environment, **keys, "TMPDIR": str(site.temporary)},
        directory=site.data,
        ports=(*port.values(), *grpc.values()),
        address=f"http://{HOST}:{port['s3']}",
        ready=all_of(
            answers(port["s3"], "/healthz", 200),
            answers(port["filer"], f"/buckets/{BUCKET}/", 200, method="HEAD"),
            answers(port["master"], f"/dir/assign?collection={BUCKET}", 200),
        ),
        sockets=_weed_sockets(port, grpc),
    )


def store(name: str, site: Site, secrets: Mapping[str, str]) -> Command:
    """Return the command of the database or of the object store."""
    if name == "mongo":
        return mongo(site)
    return s3(site, secrets["S3_ACCESS_KEY"], secrets["S3_SECRET_KEY"])


def simulator(name: str, site: Site, latency_seconds: float) -> Command:
    """Return the command of a provider simulator."""
    port = site.ports.pick(name)
    options = ["--port", str(port), "--latency-seconds", f"{latency_seconds:g}"]
    if name == "comfyui":
        options += ["--lora-dir", str(lora_folder(site))]
    return Command(
        name=name,
        kind="simulator",
        arguments=(sys.executable, "-m", f"deploy.simulators.{name}", *options),
        environment=site.environment,
        directory=ROOT,
        ports=(port,),
        address=f"http://{HOST}:{port}",
        ready=answers(port, "/_sim/health", 204),
        grace_seconds=3,
    )


def lora_folder(site: Site) -> Path:
    """Return the folder that the simulated ComfyUI server shares with its gateway."""
    folder = site.data / "loras"
    folder.mkdir(exist_ok=True)
    return folder


def _weed() -> str:
    beside_python = Path(sys.executable).with_name("weed")
    program = str(beside_python) if beside_python.exists() else shutil.which("weed")
    if program is None:
        raise MissingServer("SeaweedFS (weed)")
    return program


def _weed_sockets(port: dict[str, int], grpc: dict[str, int]) -> tuple[Path, ...]:
    """Return the sockets that SeaweedFS makes in /tmp, whatever TMPDIR is, and may leave there."""
    names = [f"{part}-grpc-{grpc[part]}" for part in WEED_PARTS]
    names += [f"{part}-{port[part]}" for part in ("s3", "filer")]
    return tuple(Path(f"/tmp/seaweedfs-{name}.sock") for name in names)


def _weed_options(storage: Path, port: dict[str, int], grpc: dict[str, int]) -> list[str]:
    return [
        f"-dir={storage}",
        f"-bucket={BUCKET}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        "-master.telemetry=false",
        "-webdav=false",
        "-admin.ui=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-volume.preStopSeconds=0",
        *(f"-{part}.port={port[part]}" for part in WEED_PARTS),
        *(f"-{part}.port.grpc={grpc[part]}" for part in WEED_PARTS),
    ]
