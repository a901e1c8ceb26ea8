"""render.requested → attempts, worded for their model; render.cancel, result.stored → attempts marked"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from contracts.renders import RenderCancel, RenderRequested, ResultStored
from services.gateways.runtime.attempt import order_of
from services.gateways.runtime.crash_points import crash_point
from services.gateways.runtime.dialects import worded
from services.gateways.runtime.engine import Engine
from services.gateways.runtime.gate import Gate
from services.gateways.runtime.ledger import Ledger
from services.gateways.runtime.provider import Provider
from shared.envelope import Outgoing, Received
from shared.errors import Backpressure
from shared.kafka.subscription import Subscribe
from shared.mongo.leases import Lease


def handlers(
    subscribe: Subscribe, provider: Provider, ledger: Ledger, engine: Engine, lease: Lease, gate: Gate
) -> None:
    """Declare what a gateway listens to."""

    kinds = (RenderRequested, RenderCancel, ResultStored)

    @subscribe(
        *kinds,
        topics=[kind.topic.format(provider=provider.name) for kind in kinds],
        group=f"gateway-{provider.name}",
    )
    async def take_in(batch: Sequence[Received[Any]]) -> list[Outgoing]:
        lease.check(lease.owner, "taking something in")
        commands = [
            replace(received, message=worded(command, provider.dialect(order_of(command))))
            for received in batch
            if isinstance(command := received.message, RenderRequested)
        ]
        cancels = [received.message for received in batch if isinstance(received.message, RenderCancel)]
        if commands:
            if engine.full:
                raise Backpressure(f"{len(engine)} attempts are held")
            at_once = provider.can_be_asked and gate.free and len(commands) <= engine.room
            new = await ledger.take_in(commands, lease.owner, at_once=at_once)
            crash_point("after_intake")
            engine.add(new)
        if cancels:
            await ledger.take_cancels(cancels)
            engine.cancel(cancel.attempt_id for cancel in cancels)
        results = [received.message for received in batch if isinstance(received.message, ResultStored)]
        await ledger.note_duplicates(
            [each.attempt_id for each in results if each.duplicate and each.provider == provider.name]
        )
        return []
