"""render.succeeded → fetch, check, store → result.stored or render.failed"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from contracts.base import Message
from contracts.renders import RenderFailed, RenderProgressed, RenderSucceeded
from services.result_store.assets import (
    Asset,
    Assets,
    asset_id,
    delete_orphans,
    delete_superseded,
    superseded,
)
from services.result_store.fetching import OutputNotReady, OutputUnavailable
from services.result_store.image_store import OutputStore, failure
from services.result_store.images import BadImage
from shared.clock import now
from shared.envelope import Outgoing, Received, caused_by
from shared.kafka.subscribe import Subscribe
from shared.s3 import Bucket

log = structlog.get_logger()

RETRY_AFTER = timedelta(seconds=1)

Outcome = Asset | Message
"""An asset to save, or a message that needs no asset."""


class Results:
    """OutputStore a batch: one query before, all outputs at once, one bulk write after.

    A training's weights are large: they become a pending asset, which the background work fetches.
    """

    def __init__(
        self,
        assets: Assets,
        stores: OutputStore,
        bucket: Bucket,
        *,
        fetch_seconds: float,
        fetches_at_once: int,
    ) -> None:
        self._assets = assets
        self._stores = stores
        self._bucket = bucket
        self._fetch_seconds = fetch_seconds
        self._slots = asyncio.Semaphore(fetches_at_once)

    async def store(self, batch: Sequence[Received[RenderSucceeded]]) -> list[Outgoing]:
        """Store each result; return the messages about them."""
        results = [received.message for received in batch]
        ids = {asset_id(each) for each in results} | {each.attempt_id for each in results}
        known = await self._assets.load(ids)
        until = asyncio.get_running_loop().time() + self._fetch_seconds
        outcomes = await asyncio.gather(*(self._one(each, known, until) for each in batch))
        winners = await self._save([outcome for outcome in outcomes if isinstance(outcome, Asset)], known)
        outputs: list[Outgoing] = []
        for received, outcome in zip(batch, outcomes, strict=True):
            outputs += caused_by(received, *self._messages(received.message, outcome, winners))
        return outputs

    async def _save(self, assets: Sequence[Asset], known: dict[str, Asset]) -> dict[str, Asset]:
        """Write one asset per render; return the winners and delete the losers' objects."""
        first, waiting = _placed(assets, known)
        if waiting:
            await self._assets.save(waiting)
        late = await self._assets.save([asset for id_, asset in first.items() if known.get(id_) is not asset])
        winners = first | (await self._assets.load(late) if late else {})
        for asset in assets:
            winner = winners[asset.id]
            if winner.keys:
                await delete_superseded(self._bucket, asset, winner)
        return winners

    async def _one(
        self,
        received: Received[RenderSucceeded],
        known: dict[str, Asset],
        until: float,
    ) -> Outcome:
        result = received.message
        asset = known.get(asset_id(result))
        if asset is not None and asset.state == "stored":
            if asset.result.attempt_id != result.attempt_id:
                await delete_orphans(self._bucket, asset)
            return asset.announcement(result)
        for held in (asset, known.get(result.attempt_id)):
            if held is not None and held.state == "pending" and held.result == result:
                return storing_progress(result)
        if result.spec.kind == "lora_training":
            return pending(result, received.trace, after=timedelta())
        try:
            async with asyncio.timeout_at(until), self._slots:
                stored = await self._stores.store(result)
        except (OutputUnavailable, BadImage) as error:
            return failure(result, error)
        except (OutputNotReady, TimeoutError) as error:
            log.warning("output_not_ready", attempt_id=result.attempt_id, error=str(error))
            return pending(result, received.trace)
        return Asset(id=asset_id(result), state="stored", result=result, trace=received.trace, **dict(stored))

    def _messages(
        self, result: RenderSucceeded, outcome: Outcome, winners: dict[str, Asset]
    ) -> list[Message]:
        if isinstance(outcome, Message):
            return [outcome]
        winner = winners[outcome.id]
        if winner.state == "stored":
            return [winner.announcement(result)]
        return [storing_progress(result)]


def _placed(assets: Sequence[Asset], known: dict[str, Asset]) -> tuple[dict[str, Asset], list[Asset]]:
    """Return one asset per render, and the superseded ones that stay pending beside it."""
    first: dict[str, Asset] = {}
    waiting: dict[str, Asset] = {}
    for asset in sorted(assets, key=lambda asset: asset.state != "stored"):
        held = known.get(asset.id)
        if held is not None and held.is_pending_for_another(asset.result):
            if asset.state == "stored":
                waiting[held.result.attempt_id] = superseded(held)
            else:
                first.setdefault(asset.id, held)
        if first.setdefault(asset.id, asset).is_pending_for_another(asset.result):
            waiting[asset.result.attempt_id] = superseded(asset)
    return first, list(waiting.values())


def pending(result: RenderSucceeded, trace: str | None, after: timedelta = RETRY_AFTER) -> Asset:
    """Return an asset for the background work to fetch."""
    return Asset(id=asset_id(result), state="pending", result=result, trace=trace, wake_at=now() + after)


def storing_progress(result: RenderSucceeded) -> RenderProgressed:
    """Return the progress of a result that is being stored."""
    return RenderProgressed(
        attempt_id=result.attempt_id,
        job_id=result.job_id,
        tenant=result.tenant,
        provider=result.provider,
        at=result.at,
        state="storing",
        percent=100,
    )


def fail(received: Received[RenderSucceeded], error: Exception) -> RenderFailed:
    """Fail an attempt whose output cannot be handled; its render then need not wait for the deadline."""
    return failure(received.message, error)


def handlers(subscribe: Subscribe, results: Results) -> None:
    """Subscribe to rendered results."""

    @subscribe(RenderSucceeded, group="result-store", on_failed=fail)
    async def store_results(batch: Sequence[Received[RenderSucceeded]]) -> list[Outgoing]:
        return await results.store(batch)
