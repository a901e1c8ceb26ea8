"""pending assets → fetched again until they come or are given up → result.stored, render.failed"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from contracts.base import Message
from contracts.renders import StoredImage
from services.result_store.assets import Asset, MongoAssets
from services.result_store.fetching import OutputLate, OutputUnavailable
from services.result_store.images import BadImage
from services.result_store.previews import Previews
from services.result_store.storing import Storing, failure
from shared.clock import now
from shared.errors import PermanentError, is_transient
from shared.outbox import Outbox, owe

log = structlog.get_logger()

TICK_SECONDS = 0.5
AT_ONCE = 4
PAUSES_SECONDS = (2, 5, 15, 30, 60)


class LateOutputs:
    """Works off pending assets. Trigger is no message, so each end owes its message in its write."""

    def __init__(
        self,
        assets: MongoAssets,
        storing: Storing,
        previews: Previews,
        outbox: Outbox,
        *,
        fetch_seconds: float,
        pauses: Sequence[float] = PAUSES_SECONDS,
    ) -> None:
        self._assets = assets
        self._storing = storing
        self._previews = previews
        self._outbox = outbox
        self._fetch_seconds = fetch_seconds
        self._pauses = pauses
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Look for due assets until cancelled; servers that are away are waited for."""
        while True:
            try:
                due = await self._assets.claim_due()
                await asyncio.gather(*(self._try(asset) for asset in due))
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("late_outputs_delayed", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(TICK_SECONDS)

    async def _try(self, asset: Asset) -> None:
        """One asset's trouble is its own: it is claimed again when the claim has lapsed."""
        try:
            async with self._slots:
                await self._again(asset)
        except Exception:
            log.exception("late_output_failed", asset=asset.id)

    async def _again(self, asset: Asset) -> None:
        try:
            async with asyncio.timeout(self._fetch_seconds):
                image, data = await self._storing.store(asset.result)
        except (OutputUnavailable, BadImage) as error:
            return await self._give_up(asset, error)
        except (OutputLate, TimeoutError) as error:
            if asset.tries >= len(self._pauses):
                return await self._give_up(asset, OutputUnavailable(f"after {asset.tries} tries: {error}"))
            pause = timedelta(seconds=self._pauses[asset.tries])
            later = asset.model_copy(update={"tries": asset.tries + 1, "wake_at": now() + pause})
            await self._assets.put_off(later)
            return None
        stored = asset.model_copy(
            update={"state": "stored", "image": image, "wake_at": None, "preview_due_at": now()}
        )
        owing = self._owing(stored, stored.announcement(stored.result))
        if await self._assets.keep([owing]):
            return await self._sweep(asset.id, image)
        self._previews.make_soon(asset.id, image.key, data)
        await self._outbox.settle([asset.id])
        return None

    async def _sweep(self, id_: str, image: StoredImage) -> None:
        """Another attempt's image was stored meanwhile, and is announced by its own message."""
        winner = (await self._assets.load([id_]))[id_]
        if winner.image is None or winner.image.key != image.key:
            await self._storing.discard(image)

    async def _give_up(self, asset: Asset, error: PermanentError) -> None:
        ended = asset.model_copy(update={"state": "failed", "wake_at": None})
        if await self._assets.put_off(self._owing(ended, failure(asset.result, error))):
            await self._outbox.settle([asset.id])

    @staticmethod
    def _owing(asset: Asset, message: Message) -> Asset:
        owed = owe(message, source="result-store", trace=asset.trace, at=now())
        return asset.model_copy(update={"owed": owed})
