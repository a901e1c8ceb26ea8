"""The broker of a stack: its nodes, and the settings that they and the services get."""

from pathlib import Path

import pytest

from deploy.local.apache_kafka.node import Member, properties
from deploy.local.brokers import Broker
from deploy.local.ports import Ports
from shared.errors import StartupError

THREE = [Member(1, 12_001, 12_011), Member(2, 12_002, 12_012), Member(3, 12_003, 12_013)]
COPIES = (
    "default.replication.factor",
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
    "share.coordinator.state.topic.replication.factor",
)


@pytest.fixture(autouse=True)
def _no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BROKERS", raising=False)


def test_a_stack_has_one_node_unless_the_environment_or_the_code_sets_another_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Broker.of(None) == Broker(1)
    monkeypatch.setenv("KAFKA_BROKERS", "")  # make passes an unset variable as an empty one
    assert Broker.of(None) == Broker(1)
    monkeypatch.setenv("KAFKA_BROKERS", "3")
    assert Broker.of(None) == Broker(3)
    assert Broker.of(1) == Broker(1)


def test_an_invalid_number_of_nodes_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BROKERS", "many")
    with pytest.raises(StartupError, match=r"KAFKA_BROKERS: .*integer"):
        Broker.of(None)


def test_an_external_broker_has_no_process_and_the_services_get_its_address() -> None:
    broker = Broker.of(3, "kafka.example:9092")
    assert broker.names == ()
    assert broker.environment([]) == {"KAFKA_BOOTSTRAP": "kafka.example:9092"}


@pytest.mark.parametrize(("nodes", "copies", "in_sync"), [(1, 1, 1), (3, 3, 2)])
def test_three_nodes_keep_three_replicas_and_two_must_be_in_sync(
    nodes: int, copies: int, in_sync: int
) -> None:
    settings = properties(1, THREE[:nodes], Path("log"))
    assert {settings[name] for name in COPIES} == {str(copies)}
    assert settings["min.insync.replicas"] == str(in_sync)
    environment = Broker(nodes).environment(["127.0.0.1:12001"])
    assert environment["KAFKA_REPLICATION"] == str(copies)


def test_the_nodes_have_each_others_addresses_and_listen_on_loopback() -> None:
    settings = properties(2, THREE, Path("log"))
    assert settings["controller.quorum.voters"] == "1@127.0.0.1:12011,2@127.0.0.1:12012,3@127.0.0.1:12013"
    assert settings["listeners"] == "BROKER://127.0.0.1:12002,CONTROLLER://127.0.0.1:12012"


def test_the_services_get_the_address_of_every_node() -> None:
    assert Broker(2).environment(["a:1", "b:2"])["KAFKA_BOOTSTRAP"] == "a:1,b:2"


def test_a_kept_port_does_not_change() -> None:
    ports = Ports({})
    assert ports.keep("kafka-2") == ports.keep("kafka-2")
