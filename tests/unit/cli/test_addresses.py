"""Addresses: given ones win, then the stack that runs, else one clear sentence."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.cli.addresses import Addresses
from clients.cli.errors import NoStack, StackNotReady
from deploy.local.state import StackState, StateFolder


@pytest.fixture
def running(tmp_path: Path) -> Iterator[StateFolder]:
    """A folder that a supervisor holds: this process."""
    folder = StateFolder(tmp_path / "state")
    folder.hold()
    addresses = {"api": "http://stack:1", "kafka": "stack:2", "kafka-2": "stack:3"}
    environment = {"KAFKA_BOOTSTRAP": "stack:2,stack:3"}
    folder.write(StackState(phase="ready", addresses=addresses, environment=environment))
    yield folder
    folder.release()


def test_a_given_address_wins_over_the_stack(running: StateFolder) -> None:
    """Options and the environment say where the platform is."""
    addresses = Addresses({"api": "http://elsewhere/", "kafka": None}, running.path)
    assert addresses.of("api") == "http://elsewhere"
    assert addresses.of("kafka") == "stack:2,stack:3"


def test_a_given_address_needs_no_stack(tmp_path: Path) -> None:
    """And leaves no trace of looking for one."""
    state = tmp_path / "state"
    assert Addresses({"api": "http://elsewhere"}, state).of("api") == "http://elsewhere"
    with pytest.raises(NoStack, match="no stack is running: make up"):
        Addresses({}, state).of("kafka")
    assert not state.exists()


def test_the_addresses_of_a_stack_that_is_gone_are_not_used(running: StateFolder) -> None:
    """Its file stays behind after a crash."""
    running.release()
    with pytest.raises(NoStack, match="--notifier-url"):
        Addresses({}, running.path).of("notifier")


def test_a_stack_that_starts_is_no_error_of_the_user(running: StateFolder) -> None:
    """It has no addresses yet."""
    running.write(StackState(phase="starting"))
    with pytest.raises(StackNotReady, match="the stack is starting"):
        Addresses({}, running.path).of("api")
