"""Previews that could not be made beside their image are made later, in the background."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog

from services.result_store.assets import Asset, MongoAssets, StoredPreview
from services.result_store.images import Limits, Preview, preview
from shared.clock import now
from shared.loops import every
from shared.s3 import Bucket

log = structlog.get_logger()

TICK_SECONDS = 5.0
MOST_IN_A_TURN = 8
TRY_SECONDS = 30.0
"""Time to read one image, to decode it and to put its preview."""
TURN_SECONDS = MOST_IN_A_TURN * TRY_SECONDS + 60
"""After this long without an end of a turn, the loop counts as stuck."""
PREVIEW_PAUSES: Sequence[timedelta] = tuple(timedelta(seconds=each) for each in (1, 10, 60, 600, 3600))
"""Before each try. After the last one the image stays without a preview."""


class MissingPreviews:
    """Makes the missing previews of stored images, one at a time.

    The work to be done is in the assets, so it survives a restart. Without any, a process sends one
    indexed query every few seconds and no write.
    """

    def __init__(
        self,
        assets: MongoAssets,
        bucket: Bucket,
        limits: Limits,
        *,
        pauses: Sequence[timedelta] = PREVIEW_PAUSES,
    ) -> None:
        self._assets = assets
        self._bucket = bucket
        self._limits = limits
        self._pauses = pauses

    async def run(self) -> None:
        """Look for missing previews until cancelled, through outages of the database."""
        await every(TICK_SECONDS, self._make_due, name="missing previews", limit=TURN_SECONDS)

    async def _make_due(self) -> None:
        """Make at most `MOST_IN_A_TURN`, so that a turn has an end."""
        for _ in range(MOST_IN_A_TURN):
            asset = await self._assets.claim_preview()
            if asset is None:
                return
            await self._make(asset)

    async def _make(self, asset: Asset) -> None:
        """Try once; the next try is later and the last one is final."""
        try:
            async with asyncio.timeout(TRY_SECONDS):
                changes = await self._made(asset)
        except Exception as error:
            changes = self._failed(asset, in_words(error, TRY_SECONDS))
        await self._assets.set_preview(asset, changes)

    async def _made(self, asset: Asset) -> dict[str, Any]:
        assert asset.image is not None, "only images have previews"
        key = asset.image.key
        data = await self._bucket.get(key)
        made = await asyncio.to_thread(preview, data, limits=self._limits)
        kept = await put_preview(self._bucket, key, made)
        log.info("preview_stored", key=key, tries=asset.preview_tries + 1)
        return {
            "preview": kept.model_dump(),
            "placeholder": made.placeholder,
            "preview_error": None,
            "preview_due_at": None,
        }

    def _failed(self, asset: Asset, reason: str) -> dict[str, Any]:
        tries = asset.preview_tries + 1
        is_last = tries >= len(self._pauses)
        log.error("preview_failed", asset=asset.id, tries=tries, is_last=is_last, error=reason)
        due_at = None if is_last else now() + self._pauses[tries]
        return {"preview_error": reason, "preview_tries": tries, "preview_due_at": due_at}


async def put_preview(bucket: Bucket, image_key: str, made: Preview) -> StoredPreview:
    """Put a preview beside its image."""
    key = f"{image_key}.preview.webp"
    await bucket.put(key, made.data, "image/webp")
    return StoredPreview(key=key, width=made.width, height=made.height)


def in_words(error: Exception, seconds: float) -> str:
    """Return the reason why a preview is missing, for people; `seconds` is the time it had."""
    if isinstance(error, TimeoutError):
        return f"the preview was not ready within {seconds:g} s"
    text = " ".join(str(error).split())
    return (
        f"{type(error).__name__}: {text}"[:300] if text else f"the preview failed with {type(error).__name__}"
    )
