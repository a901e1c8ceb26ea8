"""render.requested → attempts, in their model's dialect; render.cancel, result.stored → marked attempts"""

from collections.abc import Sequence

from contracts.renders import RenderCancel, RenderRequested, ResultStored
from services.gateways.kit.crash_points import crash_point
from services.gateways.kit.dialects import in_dialect
from services.gateways.kit.provider import Lookup, Provider
from services.gateways.runtime.ledger.intake import LedgerIntake
from services.gateways.runtime.lifecycle.attempt import request_of
from services.gateways.runtime.scheduling.engine import Engine
from services.gateways.runtime.scheduling.submission_gate import SubmissionGate
from shared.envelope import Outgoing, Received, of_type
from shared.errors import Backpressure
from shared.kafka.subscribe import Subscribe, message_types
from shared.mongo.leases import Lease

GatewayMessage = RenderRequested | RenderCancel | ResultStored


def handlers(
    subscribe: Subscribe,
    provider: Provider,
    ledger: LedgerIntake,
    engine: Engine,
    lease: Lease,
    gate: SubmissionGate,
) -> None:
    """Declare the subscription of a gateway."""

    @subscribe(
        GatewayMessage,
        topics=[kind.topic.format(provider=provider.name) for kind in message_types(GatewayMessage)],
        group=f"gateway-{provider.name}",
    )
    async def accept(batch: Sequence[Received[GatewayMessage]]) -> list[Outgoing]:
        lease.check(lease.owner, "accepting a batch")
        commands = [
            received.with_message(
                in_dialect(received.message, provider.dialect(request_of(received.message)))
            )
            for received in of_type(batch, RenderRequested)
        ]
        cancels = [received.message for received in of_type(batch, RenderCancel)]
        if commands:
            if engine.full:
                raise Backpressure(f"{len(engine)} attempts are in memory")
            sent_now = gate.is_unrestricted and len(commands) <= engine.room
            # Without a lookup, an intent after which nothing was sent costs a grace period.
            with_intent = sent_now and isinstance(provider, Lookup)
            new = await ledger.accept(commands, lease.owner, with_intent=with_intent)
            crash_point("after_accept")
            engine.add(new)
        if cancels:
            await ledger.accept_cancels(cancels)
            engine.cancel(cancel.attempt_id for cancel in cancels)
        results = [received.message for received in of_type(batch, ResultStored)]
        await ledger.note_duplicates(
            [each.attempt_id for each in results if each.duplicate and each.provider == provider.name]
        )
        return []
