"""Addresses of the servers: given ones take precedence over those of the running stack."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.cli.addresses import Addresses
from clients.cli.errors import NoStack, StackNotReady
from deploy.local.state import StackState, StateFolder


@pytest.fixture
def running(tmp_path: Path) -> Iterator[StateFolder]:
    """State folder of a running stack, whose supervisor is this process."""
    folder = StateFolder(tmp_path / "state")
    folder.hold()
    addresses = {"api": "http://stack:1", "kafka": "stack:2", "kafka-2": "stack:3"}
    environment = {"KAFKA_BOOTSTRAP": "stack:2,stack:3"}
    folder.write(StackState(phase="ready", addresses=addresses, environment=environment))
    yield folder
    folder.release()


def test_a_given_address_takes_precedence_over_the_stack(running: StateFolder) -> None:
    addresses = Addresses({"api": "http://elsewhere/", "kafka": None}, running.path)
    assert addresses.of("api") == "http://elsewhere"
    assert addresses.of("kafka") == "stack:2,stack:3"


def test_a_given_address_needs_no_stack(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert Addresses({"api": "http://elsewhere"}, state).of("api") == "http://elsewhere"
    with pytest.raises(NoStack, match="no stack is running: start one with 'make up'"):
        Addresses({}, state).of("kafka")
    assert not state.exists()


def test_the_addresses_of_a_stack_that_is_gone_are_not_used(running: StateFolder) -> None:
    """The state file remains after a crash."""
    running.release()
    with pytest.raises(NoStack, match="--notifier-url"):
        Addresses({}, running.path).of("notifier")


def test_a_starting_stack_is_reported_as_not_ready(running: StateFolder) -> None:
    running.write(StackState(phase="starting"))
    with pytest.raises(StackNotReady, match="the stack is starting"):
        Addresses({}, running.path).of("api")
