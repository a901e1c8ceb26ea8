"""Providers that are avoided because of open circuits."""

from datetime import timedelta
from typing import cast

from contracts.operations import ProviderHealth
from services.dispatcher.circuits import OpenCircuits
from shared.clock import now
from shared.envelope import Received
from shared.mongo import Collection
from tests.fakes.mongo import FakeCollection


def said(provider: str, state: str, instance: str = "") -> Received[ProviderHealth]:
    fields = {"provider": provider, "instance": instance, "state": state, "reason": "r", "at": now()}
    health = ProviderHealth.model_validate(fields)
    return Received(health, "id", ProviderHealth.topic, 0, 0, now(), None, 0)


async def test_a_provider_with_an_open_circuit_is_avoided_until_it_is_half_open_or_closed() -> None:
    circuits = OpenCircuits(cast(Collection, FakeCollection()))
    circuits.receive([said("modal", "open"), said("fal", "open")])
    assert circuits.down == {"modal", "fal"}
    circuits.receive([said("modal", "half_open"), said("fal", "closed")])
    assert circuits.down == frozenset()


async def test_circuits_from_before_the_start_are_read_from_the_documents() -> None:
    health = FakeCollection()
    health.kept["comfyui"] = {"_id": "comfyui", "state": "open", "reason": "r", "at": now()}
    circuits = OpenCircuits(health.mongo)
    await circuits.read()
    assert circuits.down == {"comfyui"}


async def test_an_open_circuit_without_further_reports_lapses() -> None:
    health = FakeCollection()
    long_ago = now() - timedelta(minutes=5)
    health.kept["fal"] = {"_id": "fal", "state": "open", "reason": "r", "at": long_ago}
    circuits = OpenCircuits(health.mongo)
    await circuits.read()
    assert circuits.down == frozenset()


async def test_a_closed_circuit_of_one_process_does_not_close_that_of_another() -> None:
    circuits = OpenCircuits(cast(Collection, FakeCollection()))
    circuits.receive([said("fal", "open", "one"), said("fal", "open", "two"), said("fal", "closed", "one")])
    assert circuits.down == {"fal"}
    circuits.receive([said("fal", "closed", "two")])
    assert circuits.down == frozenset()


async def test_an_older_document_does_not_undo_a_newer_message() -> None:
    health = FakeCollection()
    before = now() - timedelta(seconds=1)
    health.kept["fal/one"] = {
        "_id": "fal/one",
        "provider": "fal",
        "instance": "one",
        "state": "open",
        "reason": "r",
        "at": before,
    }
    circuits = OpenCircuits(health.mongo)
    circuits.receive([said("fal", "closed", "one")])
    await circuits.read()
    assert circuits.down == frozenset()
