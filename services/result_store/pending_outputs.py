"""pending assets → fetch until stored or given up → result.stored, render.failed"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from services.result_store.assets import (
    CLAIM,
    Asset,
    Kind,
    MongoAssets,
    Stored,
    asset_id,
    delete_orphans,
    delete_superseded,
    superseded,
)
from services.result_store.fetching import OutputNotReady, OutputUnavailable
from services.result_store.image_store import OutputStore, failure
from shared.clock import now
from shared.errors import PermanentError
from shared.loops import every
from shared.outbox import Outbox
from shared.s3 import Bucket
from shared.transient import is_transient

log = structlog.get_logger()

TICK_SECONDS = 0.5
AT_ONCE = 4
STORE_SECONDS = 120.0
"""Time that a turn has beside fetching."""
PAUSES_SECONDS = (2, 5, 15, 30, 60)
RENEW_SECONDS = CLAIM.total_seconds() / 3
"""Interval at which a claim is renewed."""


class PendingOutputs:
    """Fetches and stores pending assets of one kind: images that were not ready, and all trainings.

    No Kafka message triggers this work. Each outcome is written with its message in the outbox.
    """

    def __init__(
        self,
        assets: MongoAssets,
        stores: OutputStore,
        bucket: Bucket,
        outbox: Outbox,
        *,
        fetch_seconds: float,
        kind: Kind = "image",
        at_once: int = AT_ONCE,
        pauses: Sequence[float] = PAUSES_SECONDS,
        renew_seconds: float = RENEW_SECONDS,
    ) -> None:
        self._assets = assets
        self._stores = stores
        self._bucket = bucket
        self._outbox = outbox
        self._fetch_seconds = fetch_seconds
        self._kind = kind
        self._at_once = at_once
        self._pauses = pauses
        self._renew_seconds = renew_seconds

    async def run(self) -> None:
        """Work on due assets until cancelled, through outages of the servers."""
        limit = self._fetch_seconds + STORE_SECONDS
        await every(TICK_SECONDS, self._work_on_due, name=f"pending {self._kind}", limit=limit)

    async def _work_on_due(self) -> None:
        due = await self._assets.claim_due(self._kind, self._at_once)
        await asyncio.gather(*(self._work_on(asset) for asset in due))

    async def _work_on(self, asset: Asset) -> None:
        """Work on one asset. After a transient error it is claimed again when its claim has expired."""
        renewing = asyncio.create_task(self._renew(asset))
        try:
            await self._attempt_or_reschedule(asset)
        except Exception:
            log.exception("pending_output_interrupted", asset=asset.id)
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def _renew(self, asset: Asset) -> None:
        """Renew the claim, because weights may take longer than a claim lasts."""
        held: Asset | None = asset
        while held is not None:
            await asyncio.sleep(self._renew_seconds)
            held = await self._assets.claim(held)

    async def _attempt_or_reschedule(self, asset: Asset) -> None:
        try:
            await self._attempt(asset)
        except Exception as error:
            if is_transient(error):
                raise
            log.exception("pending_output_failed", asset=asset.id, tries=asset.tries)
            await self._reschedule(asset, error)

    async def _attempt(self, asset: Asset) -> None:
        if asset.is_superseded and (winner := await self._winner(asset)):
            await delete_orphans(self._bucket, winner)
            return await self._close(asset, winner)
        try:
            async with asyncio.timeout(self._fetch_seconds):
                stored = await self._stores.store(asset.result)
        except PermanentError as error:
            return await self._give_up(asset, error)
        except (OutputNotReady, TimeoutError) as error:
            last = OutputUnavailable(f"after {asset.tries} tries: {error}")
            return await self._reschedule(asset, last)
        return await self._save(asset, stored)

    async def _reschedule(self, asset: Asset, error: Exception) -> None:
        """Schedule the next attempt; after the last pause, give up with this error."""
        if asset.tries >= len(self._pauses):
            return await self._give_up(asset, error)
        pause = timedelta(seconds=self._pauses[asset.tries])
        await self._assets.reschedule(asset.rescheduled(now() + pause))
        return None

    async def _save(self, asset: Asset, stored: Stored) -> None:
        saved = asset.stored_as(stored)
        await self._assets.save_superseded(saved.id, asset.result)
        if await self._assets.save([saved.publishing(saved.announcement(saved.result), now())]):
            winner = (await self._assets.load([saved.id]))[saved.id]
            await delete_superseded(self._bucket, saved, winner)
            return await self._close(asset, winner)
        await self._outbox.flush([saved.id])
        if asset.is_superseded:
            await self._close(asset, saved)
        return None

    async def _winner(self, asset: Asset) -> Asset | None:
        """Return the stored asset of its render, if there is one."""
        id_ = asset_id(asset.result)
        found = (await self._assets.load([id_])).get(id_)
        return found if found is not None and found.state == "stored" else None

    async def _close(self, asset: Asset, winner: Asset) -> None:
        """Publish the result that its render has; as a duplicate if it is another attempt's."""
        ended = superseded(asset).ended("done")
        await self._assets.save([ended.publishing(winner.announcement(asset.result), now())])
        await self._outbox.flush([ended.id])

    async def _give_up(self, asset: Asset, error: Exception) -> None:
        ended = asset.ended("failed").publishing(failure(asset.result, error), now())
        if await self._assets.reschedule(ended):
            await self._outbox.flush([asset.id])
