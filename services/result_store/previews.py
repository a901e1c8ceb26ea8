"""Missing previews of stored images, made in the background."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from services.result_store.assets import Asset, MongoAssets, PreviewChanges, StoredPreview
from services.result_store.images import Limits, Preview, preview
from shared.clock import now
from shared.loops import every
from shared.s3 import Bucket

log = structlog.get_logger()

TICK_SECONDS = 5.0
MAX_PER_TURN = 8
TRY_SECONDS = 30.0
"""Time to read one image, decode it and store its preview."""
TURN_SECONDS = MAX_PER_TURN * TRY_SECONDS + 60
"""Time after which a turn that has not ended counts as stuck."""
PREVIEW_PAUSES: Sequence[timedelta] = tuple(timedelta(seconds=each) for each in (1, 10, 60, 600, 3600))
"""Pauses before each attempt. After the last one the image stays without a preview."""


class MissingPreviews:
    """Makes the missing previews of stored images, one at a time.

    The assets are the queue, which survives a restart. While it is empty, a process sends one indexed
    query every few seconds and no write.
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
        """Make at most `MAX_PER_TURN` previews, to limit the duration of a turn."""
        for _ in range(MAX_PER_TURN):
            asset = await self._assets.claim_preview()
            if asset is None:
                return
            await self._make(asset)

    async def _make(self, asset: Asset) -> None:
        """Attempt one preview; after a failure, schedule the next attempt or give up."""
        try:
            async with asyncio.timeout(TRY_SECONDS):
                changes = await self._made(asset)
        except Exception as error:
            changes = self._failed(asset, in_words(error, TRY_SECONDS))
        await self._assets.set_preview(asset, changes)

    async def _made(self, asset: Asset) -> PreviewChanges:
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

    def _failed(self, asset: Asset, reason: str) -> PreviewChanges:
        tries = asset.preview_tries + 1
        is_last = tries >= len(self._pauses)
        log.error("preview_failed", asset=asset.id, tries=tries, is_last=is_last, error=reason)
        due_at = None if is_last else now() + self._pauses[tries]
        return {"preview_error": reason, "preview_tries": tries, "preview_due_at": due_at}


async def put_preview(bucket: Bucket, image_key: str, made: Preview) -> StoredPreview:
    """Store a preview beside its image."""
    key = f"{image_key}.preview.webp"
    await bucket.put(key, made.data, "image/webp")
    return StoredPreview(key=key, width=made.width, height=made.height)


def in_words(error: Exception, seconds: float) -> str:
    """Return the reason for a missing preview; `seconds` is the time limit that it had."""
    if isinstance(error, TimeoutError):
        return f"the preview was not ready within {seconds:g} s"
    text = " ".join(str(error).split())
    return (
        f"{type(error).__name__}: {text}"[:300] if text else f"the preview failed with {type(error).__name__}"
    )
