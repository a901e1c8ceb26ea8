"""The load has all kinds of requests, and the planner rejects only the invalid ones."""

from datetime import UTC, datetime
from random import Random

from contracts.base import Message
from contracts.characters import Character
from contracts.generation import GenerationRejected, GenerationRequested
from prompts.catalogue import default_catalogue
from prompts.planner import plan
from tests.chaos.load import TENANTS, WEIGHTS, Faces, Order, orders

STORED = "22222222-2222-4222-8222-222222222222"
FACES = {
    tenant: Faces((f"{STORED}/0",), tuple(f"{STORED}/{n}" for n in range(7)), STORED) for tenant in TENANTS
}


def planned(order: Order) -> Message:
    known = Character.model_validate({"name": "Mara", "age": 30})
    asked = {"job_id": order.job_id, "tenant": order.tenant, "user_id": "u", "request": order.request}
    requested = GenerationRequested.model_validate(asked | {"then": list(order.then)})
    stored = known if order.request.get("character_id") == STORED else None
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return plan(requested, character=stored, requested_at=now, catalogue=default_catalogue())


def test_only_invalid_requests_are_rejected() -> None:
    wanted = orders(30, Random(1), FACES, ("http://x/",))
    assert {order.kind for order in wanted} == set(WEIGHTS)
    assert {order.kind for order in wanted if isinstance(planned(order), GenerationRejected)} == {"nonsense"}
