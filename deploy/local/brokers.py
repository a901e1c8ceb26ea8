"""The broker of a stack: one or several Apache Kafka nodes, or an external broker."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pydantic import PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.local.apache_kafka.installation import Installation
from deploy.local.apache_kafka.node import Member, node, replicas
from deploy.local.processes import Command
from deploy.local.servers import Site
from shared.settings import read_settings


class BrokerSettings(BaseSettings):
    """KAFKA_BROKERS: the number of nodes of a stack that sets no other number."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    kafka_brokers: PositiveInt = 1


class ExternalBroker(BaseSettings):
    """KAFKA_*: an external broker for `up` and the demo, and how topics are created there."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_", frozen=True, env_ignore_empty=True)

    bootstrap: str | None = None
    replication: PositiveInt | None = None
    partitions: PositiveInt | None = None

    @property
    def variables(self) -> dict[str, str]:
        """Topic settings for the services; empty without an external broker."""
        if not self.bootstrap:
            return {}
        given = {"KAFKA_REPLICATION": self.replication, "KAFKA_PARTITIONS": self.partitions}
        return {name: str(value) for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class Broker:
    """The number of nodes that the stack starts, or the address of an external broker."""

    nodes: int
    external: str | None = None

    @classmethod
    def of(cls, nodes: int | None, external: str | None = None) -> "Broker":
        """Return the broker with this number of nodes, by default that of KAFKA_BROKERS.

        Raises:
            StartupError: when KAFKA_BROKERS is not a positive number.
        """
        if external:
            return cls(0, external)
        return cls(nodes or read_settings(BrokerSettings).kafka_brokers)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the broker's processes in the stack."""
        return tuple(node_name(number) for number in range(1, self.nodes + 1))

    def commands(self, site: Site, kafka: Installation) -> list[Callable[[], Command]]:
        """Return one factory of a command line per node."""
        return [partial(_node, number, self.nodes, site, kafka) for number in range(1, self.nodes + 1)]

    def environment(self, addresses: list[str]) -> dict[str, str]:
        """Return the variables with which the services connect to the broker."""
        if self.external:
            return {"KAFKA_BOOTSTRAP": self.external}
        return {"KAFKA_BOOTSTRAP": ",".join(addresses), "KAFKA_REPLICATION": str(replicas(self.nodes))}


def node_name(number: int) -> str:
    """Return the process name of a node: `kafka`, `kafka-2`."""
    return "kafka" if number == 1 else f"kafka-{number}"


def _node(number: int, nodes: int, site: Site, kafka: Installation) -> Command:
    """Return a node's command. The ports of a cluster are fixed because its nodes know each other's."""
    port = site.ports.pick if nodes == 1 else site.ports.keep
    names = {each: node_name(each) for each in range(1, nodes + 1)}
    members = [
        Member(each, port(name), port(f"{name}.controller"), site.proxy_ports.get(name))
        for each, name in names.items()
    ]
    return node(names[number], number, members, site, kafka)
