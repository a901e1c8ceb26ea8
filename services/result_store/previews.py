"""stored images → a WebP preview and a placeholder hash, off the path to `completed`."""

import asyncio
from collections import deque
from datetime import timedelta
from functools import partial

import structlog

from services.result_store.assets import PAGE, MongoAssets
from services.result_store.images import BadImage, Limits, preview
from shared.clock import now
from shared.errors import is_transient
from shared.mongo import Document
from shared.s3 import Bucket, NoSuchObject

log = structlog.get_logger()

HELD_BYTES = 64 * 1024 * 1024
OVERDUE = timedelta(seconds=30)
IDLE_SECONDS = 5.0


class Previews:
    """Makes previews one at a time, in a thread, and enters several in one write.

    What does not fit in memory, or is lost in a crash, is read again later.
    """

    def __init__(self, assets: MongoAssets, bucket: Bucket, limits: Limits) -> None:
        self._assets = assets
        self._bucket = bucket
        self._limits = limits
        self._waiting: deque[tuple[str, str, bytes]] = deque()
        self._held = 0
        self._news = asyncio.Event()

    def make_soon(self, asset: str, key: str, data: bytes) -> None:
        """The image is at hand; if too many are, the sweep finds it in the bucket."""
        if self._held + len(data) <= HELD_BYTES:
            self._held += len(data)
            self._waiting.append((asset, key, data))
            self._news.set()

    async def run(self) -> None:
        """Work until cancelled; servers that are away are waited for."""
        while True:
            try:
                await self._work_off()
                await self._sweep()
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("previews_delayed", error=f"{type(error).__name__}: {error}")
            self._news.clear()
            if not self._waiting:
                try:
                    async with asyncio.timeout(IDLE_SECONDS):
                        await self._news.wait()
                except TimeoutError:
                    continue

    async def _work_off(self) -> None:
        while self._waiting:
            made: dict[str, Document] = {}
            try:
                while self._waiting and len(made) < PAGE:
                    asset, key, data = self._waiting.popleft()
                    self._held -= len(data)
                    made[asset] = await self._make(asset, key, data)
            except Exception:
                await self._assets.set_previews(made)
                raise
            await self._assets.set_previews(made)

    async def _sweep(self) -> None:
        for asset in await self._assets.without_preview(now() - OVERDUE):
            if asset.image is not None:
                await self._assets.set_previews({asset.id: await self._again(asset.id, asset.image.key)})

    async def _again(self, asset: str, key: str) -> Document:
        try:
            data = await self._bucket.get(key)
        except NoSuchObject as error:
            return _none(asset, error)
        return await self._make(asset, key, data)

    async def _make(self, asset: str, key: str, data: bytes) -> Document:
        """What an asset's document has of its preview."""
        try:
            made = await asyncio.to_thread(partial(preview, data, limits=self._limits))
        except BadImage as error:
            return _none(asset, error)
        preview_key = f"{key}.preview.webp"
        await self._bucket.put(preview_key, made.data, "image/webp")
        fields = {"key": preview_key, "width": made.width, "height": made.height}
        return {"preview": fields, "placeholder": made.placeholder}


def _none(asset: str, error: Exception) -> Document:
    log.error("preview_failed", asset=asset, error=str(error))
    return {"preview_error": str(error)}
