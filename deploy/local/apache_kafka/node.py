"""Configuration and command line of one Apache Kafka node, broker and controller in one."""

import base64
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from deploy.local.apache_kafka.installation import Installation
from deploy.local.ports import HOST
from deploy.local.probes import speaks_kafka
from deploy.local.processes import Command
from deploy.local.servers import Site

LAUNCH = Path(__file__).with_name("launch.py")
MAX_REPLICAS = 3
JAVA_OPTIONS = (
    "-Xms64m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.net.preferIPv4Stack=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)
SETTINGS = {
    "process.roles": "broker,controller",
    "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "BROKER",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "6",
    "transaction.state.log.num.partitions": "6",
    "share.coordinator.state.topic.num.partitions": "6",
    "log.cleaner.dedupe.buffer.size": str(4 << 20),
    # A killed node may register again only after the session of its previous process has expired.
    "broker.heartbeat.interval.ms": "1000",
    "broker.session.timeout.ms": "5000",
}


@dataclass(frozen=True)
class Member:
    """Address of one node, as all nodes of its cluster know it."""

    number: int
    port: int
    controller_port: int
    proxy_port: int | None = None
    """Advertised port, where it differs from the port of the listener."""


def replicas(nodes: int) -> int:
    """Return the replication factor of a cluster of this size."""
    return min(MAX_REPLICAS, nodes)


def properties(number: int, members: Iterable[Member], log: Path) -> dict[str, str]:
    """Return the configuration of one node."""
    nodes = {member.number: member for member in members}
    port, controller_port = nodes[number].port, nodes[number].controller_port
    voters = ",".join(f"{each.number}@{HOST}:{each.controller_port}" for each in nodes.values())
    copies = str(replicas(len(nodes)))
    in_sync = str(max(1, replicas(len(nodes)) - 1))
    return {
        **SETTINGS,
        "node.id": str(number),
        "controller.quorum.voters": voters,
        "listeners": f"BROKER://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"BROKER://{HOST}:{nodes[number].proxy_port or port}",
        "log.dirs": str(log),
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
    }


def node(
    name: str, number: int, members: Iterable[Member], site: Site, kafka: Installation, *java_options: str
) -> Command:
    """Return the command of one node. Its data folder depends on its number and the cluster size."""
    members = tuple(members)
    folder = site.data / f"apache-kafka-{number}-of-{len(members)}"
    folder.mkdir(exist_ok=True)
    log, config = folder / "log", folder / "server.properties"
    settings = properties(number, members, log)
    config.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    own = next(member for member in members if member.number == number)
    launch = (sys.executable, "-I", "-S", str(LAUNCH), str(config), str(log), _cluster_id(site))
    return Command(
        name=name,
        kind="server",
        arguments=(*launch, *_java(kafka, site), *java_options),
        environment=site.environment,
        directory=folder,
        ports=(own.port, own.controller_port),
        address=f"{HOST}:{own.port}",
        ready=speaks_kafka(own.port),
    )


def _cluster_id(site: Site) -> str:
    """Return the cluster id. It is the same for all nodes of a stack and at every start."""
    return base64.urlsafe_b64encode(uuid5(NAMESPACE_URL, str(site.data)).bytes).decode().rstrip("=")


def _java(kafka: Installation, site: Site) -> tuple[str, ...]:
    prepared = (f"-XX:AOTCache={kafka.aot_cache}",) if kafka.aot_cache.exists() else ()
    unpacked = f"-Djava.io.tmpdir={site.temporary}"  # native libraries, which a killed node does not delete
    return (str(kafka.java), *JAVA_OPTIONS, *prepared, unpacked, "-cp", kafka.classpath)
