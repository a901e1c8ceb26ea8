"""Ports of a stack: fixed ones by default, and a visible warning when one is occupied."""

import socket
from pathlib import Path

from deploy.local.__main__ import table
from deploy.local.fixed_ports import FIXED_PORTS
from deploy.local.ports import GRPC_OFFSET, HOST, Ports
from deploy.local.servers import WEED_PARTS
from deploy.local.services import SERVICES
from deploy.local.state import StackState

README = Path(__file__).parents[3] / "README.md"


def test_every_service_has_a_fixed_port_and_no_two_share_one() -> None:
    assert set(SERVICES) < set(FIXED_PORTS)
    grpc = [FIXED_PORTS[f"s3.{part}"] + GRPC_OFFSET for part in WEED_PARTS]
    ports = [*FIXED_PORTS.values(), *grpc]
    assert len(set(ports)) == len(ports)


def test_the_readme_names_the_ports_of_the_servers_that_users_call() -> None:
    text = README.read_text()
    for name in ("kafka", "api", "notifier"):
        assert f"127.0.0.1:{FIXED_PORTS[name]}" in text, name


def test_a_free_fixed_port_is_preferred_to_the_port_of_the_previous_start() -> None:
    with socket.create_server((HOST, 0)) as other:
        free = other.getsockname()[1]
    ports = Ports({"api": 12_345}, {"api": free})
    assert ports.pick("api") == free
    assert ports.moved == {}


def test_an_occupied_fixed_port_is_replaced_and_the_status_shows_it() -> None:
    with socket.create_server((HOST, 0)) as other:
        taken = other.getsockname()[1]
        ports = Ports({}, {"api": taken})
        chosen = ports.pick("api")
    assert chosen != taken
    assert ports.moved == {"api": taken}
    shown = table(StackState(ports=ports.chosen, moved=ports.moved))
    assert f"port {taken} of api is taken by another program; api listens on {chosen}" in shown


def test_a_stack_without_fixed_ports_takes_any() -> None:
    ports = Ports({})
    ports.pick("api")
    assert ports.moved == {}
