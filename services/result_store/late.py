"""pending assets → fetched until they come or are given up → result.stored, render.failed"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from contracts.base import Message
from services.result_store.assets import (
    CLAIM,
    Asset,
    Kind,
    MongoAssets,
    Stored,
    apart,
    asset_id,
    sweep,
    sweep_place,
)
from services.result_store.fetching import OutputLate, OutputUnavailable
from services.result_store.storing import Stores, failure
from shared.clock import now
from shared.errors import PermanentError
from shared.loops import every
from shared.outbox import Outbox, OutboxEntry, outbox_entry
from shared.s3 import Bucket
from shared.transient import is_transient

log = structlog.get_logger()

TICK_SECONDS = 0.5
AT_ONCE = 4
STORE_SECONDS = 120.0
"""For what a turn does beside fetching."""
PAUSES_SECONDS = (2, 5, 15, 30, 60)


class LateOutputs:
    """Works off pending assets of one kind: images that were late, and every training.

    Trigger is no message, so each end owes its message in its write.
    """

    def __init__(
        self,
        assets: MongoAssets,
        stores: Stores,
        bucket: Bucket,
        outbox: Outbox,
        *,
        fetch_seconds: float,
        kind: Kind = "image",
        at_once: int = AT_ONCE,
        pauses: Sequence[float] = PAUSES_SECONDS,
    ) -> None:
        self._assets = assets
        self._stores = stores
        self._bucket = bucket
        self._outbox = outbox
        self._fetch_seconds = fetch_seconds
        self._kind = kind
        self._at_once = at_once
        self._pauses = pauses

    async def run(self) -> None:
        """Look for due assets until cancelled; servers that are away are waited for."""
        limit = self._fetch_seconds + STORE_SECONDS
        await every(TICK_SECONDS, self._try_due, name=f"late {self._kind}", limit=limit)

    async def _try_due(self) -> None:
        due = await self._assets.claim_due(self._kind, self._at_once)
        await asyncio.gather(*(self._try(asset) for asset in due))

    async def _try(self, asset: Asset) -> None:
        """Try one asset. After a transient error it is claimed again when its claim has lapsed."""
        holding = asyncio.create_task(self._hold(asset))
        try:
            await self._again_or_later(asset)
        except Exception:
            log.exception("late_output_failed", asset=asset.id)
        finally:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)

    async def _hold(self, asset: Asset) -> None:
        """Weights may take longer than a claim lasts."""
        held: Asset | None = asset
        while held is not None:
            await asyncio.sleep(CLAIM.total_seconds() / 3)
            held = await self._assets.claim(held)

    async def _again_or_later(self, asset: Asset) -> None:
        try:
            await self._again(asset)
        except Exception as error:
            if is_transient(error):
                raise
            log.exception("late_output_failed", asset=asset.id, tries=asset.tries)
            await self._later(asset, error)

    async def _again(self, asset: Asset) -> None:
        if asset.is_apart and (winner := await self._winner(asset)):
            await sweep_place(self._bucket, winner)
            return await self._close(asset, winner)
        try:
            async with asyncio.timeout(self._fetch_seconds):
                stored = await self._stores.store(asset.result)
        except PermanentError as error:
            return await self._give_up(asset, error)
        except (OutputLate, TimeoutError) as error:
            last = OutputUnavailable(f"after {asset.tries} tries: {error}")
            return await self._later(asset, last)
        return await self._keep(asset, stored)

    async def _later(self, asset: Asset, error: Exception) -> None:
        """Try it again after a pause; after the last pause, give it up with this error."""
        if asset.tries >= len(self._pauses):
            return await self._give_up(asset, error)
        pause = timedelta(seconds=self._pauses[asset.tries])
        await self._assets.put_off(
            asset.model_copy(update={"tries": asset.tries + 1, "wake_at": now() + pause})
        )
        return None

    async def _keep(self, asset: Asset, stored: Stored) -> None:
        id_ = asset_id(asset.result)
        kept = asset.model_copy(update={**dict(stored), "id": id_, "state": "stored", "wake_at": None})
        await self._assets.set_apart(id_, asset.result)
        if await self._assets.keep([self._with_outbox(kept, kept.announcement(kept.result))]):
            winner = (await self._assets.load([id_]))[id_]
            await sweep(self._bucket, kept, winner)
            return await self._close(asset, winner)
        await self._outbox.flush([id_])
        if asset.is_apart:
            await self._close(asset, kept)
        return None

    async def _winner(self, asset: Asset) -> Asset | None:
        """What is stored of its render, if anything is."""
        id_ = asset_id(asset.result)
        found = (await self._assets.load([id_])).get(id_)
        return found if found is not None and found.state == "stored" else None

    async def _close(self, asset: Asset, winner: Asset) -> None:
        """Its render has a result: so it is said, in case of another attempt's as a duplicate."""
        ended = apart(asset).model_copy(update={"state": "done", "wake_at": None})
        await self._assets.keep([self._with_outbox(ended, winner.announcement(asset.result))])
        await self._outbox.flush([ended.id])

    async def _give_up(self, asset: Asset, error: Exception) -> None:
        ended = asset.model_copy(update={"state": "failed", "wake_at": None})
        if await self._assets.put_off(self._with_outbox(ended, failure(asset.result, error))):
            await self._outbox.flush([asset.id])

    @staticmethod
    def _with_outbox(asset: Asset, message: Message) -> Asset:
        outbox = outbox_entry(message, source="result-store", trace=asset.trace, at=now())
        return asset.model_copy(update={"outbox": OutboxEntry.model_validate(outbox)})
