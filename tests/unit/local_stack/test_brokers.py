"""Which broker a stack runs on, and what its nodes and the services are told."""

from pathlib import Path

import pytest

from deploy.local.apache_kafka.installation import find_installation
from deploy.local.apache_kafka.node import Member, properties
from deploy.local.brokers import Broker
from deploy.local.missing import MissingServer
from deploy.local.outages import BrokerControl, KeepsNothing
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
    monkeypatch.delenv("KAFKA", raising=False)
    monkeypatch.delenv("KAFKA_BROKERS", raising=False)


def test_the_broker_is_the_embedded_one_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Broker.of(None, None) == Broker("embedded", 1)
    monkeypatch.setenv("KAFKA", "")  # as make hands on what is not set
    assert Broker.of(None, None) == Broker("embedded", 1)
    monkeypatch.setenv("KAFKA", "apache")
    monkeypatch.setenv("KAFKA_BROKERS", "3")
    assert Broker.of(None, None) == Broker("apache", 3)


def test_what_is_given_in_code_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA", "apache")
    monkeypatch.setenv("KAFKA_BROKERS", "3")
    assert Broker.of("embedded", None) == Broker("embedded", 1)
    assert Broker.of("apache", 1) == Broker("apache", 1)


def test_an_unknown_broker_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA", "rabbit")
    with pytest.raises(StartupError, match=r"KAFKA: .*'embedded' or 'apache'"):
        Broker.of(None, None)


@pytest.mark.parametrize(("nodes", "copies", "in_sync"), [(1, 1, 1), (3, 3, 2)])
def test_three_nodes_keep_every_record_three_times_and_two_must_have_it(
    nodes: int, copies: int, in_sync: int
) -> None:
    settings = properties(1, THREE[:nodes], Path("log"))
    assert {settings[name] for name in COPIES} == {str(copies)}
    assert settings["min.insync.replicas"] == str(in_sync)
    environment = Broker("apache", nodes).environment(["127.0.0.1:12001"])
    assert environment["KAFKA_REPLICATION"] == str(copies)


def test_the_nodes_know_each_other_and_listen_on_loopback() -> None:
    settings = properties(2, THREE, Path("log"))
    assert settings["controller.quorum.voters"] == "1@127.0.0.1:12011,2@127.0.0.1:12012,3@127.0.0.1:12013"
    assert settings["listeners"] == "BROKER://127.0.0.1:12002,CONTROLLER://127.0.0.1:12012"


def test_only_apache_kafka_gets_idempotent_producers() -> None:
    assert Broker("embedded", 1).environment(["a:1"])["KAFKA_IDEMPOTENCE"] == "false"
    assert "KAFKA_IDEMPOTENCE" not in Broker("apache", 1).environment(["a:1"])
    assert Broker("apache", 2).environment(["a:1", "b:2"])["KAFKA_BOOTSTRAP"] == "a:1,b:2"


def test_a_kept_port_stays() -> None:
    ports = Ports({})
    assert ports.keep("kafka-2") == ports.keep("kafka-2")


async def test_the_embedded_broker_cannot_be_ended_and_come_back() -> None:
    control = BrokerControl(Broker("embedded", 1), {}, lambda: None)
    with pytest.raises(KeepsNothing, match="in memory"):
        await control.kill()
    with pytest.raises(KeepsNothing):
        await control.stop()


def test_a_missing_installation_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(MissingServer, match=r"Apache Kafka is not installed.*python -m deploy\.local"):
        find_installation()
