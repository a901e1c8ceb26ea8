"""A provider's output → a clean image in the bucket, and its preview → its asset."""

import asyncio
import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

import structlog

from contracts.renders import RenderFailed, RenderSucceeded, StoredImage
from services.result_store.assets import Stored, StoredPreview
from services.result_store.fetching import Fetch
from services.result_store.images import Limits, inspect, preview, strip_metadata
from services.result_store.weights import BadWeights
from shared.clock import now
from shared.errors import PermanentError
from shared.s3 import Bucket

log = structlog.get_logger()

IN_PARTS_BYTES = 8 * 1024 * 1024
DECODED_AT_ONCE = 2
"""Pictures whose pixels are in memory."""
PREVIEW_SECONDS = 4.0
"""Waiting for others included: less than a result has to be fetched and put."""


class Stores(Protocol):
    """Brings what an attempt made into the bucket."""

    async def store(self, result: RenderSucceeded) -> Stored:
        """Fetch, check and put.

        Raises:
            OutputLate: try again later.
            PermanentError: it will never be a result of ours.
        """


class Storing(Stores):
    """Fetches, checks, cleans and puts. The object key contains the image's hash."""

    def __init__(self, fetch: Fetch, bucket: Bucket, limits: Limits) -> None:
        self._fetch = fetch
        self._bucket = bucket
        self._limits = limits
        self._decoders = ThreadPoolExecutor(DECODED_AT_ONCE, "decode")

    async def store(self, result: RenderSucceeded) -> Stored:
        """Store the first usable output of an attempt.

        Raises:
            OutputLate: try again later.
            OutputUnavailable, BadImage: it will never be an image of ours.
        """
        outputs = [o for o in result.outputs if result.spec.nsfw_allowed or not o.nsfw]
        raw = await self._fetch(result.provider, (outputs or list(result.outputs))[0])
        image, data = await asyncio.to_thread(self._cleaned, result, raw)
        del raw
        with_preview = asyncio.create_task(self._with_preview(image, data))
        try:
            await self._put(image, data)
            return await with_preview
        finally:
            with_preview.cancel()

    async def _put(self, image: StoredImage, data: bytes) -> None:
        if len(data) > IN_PARTS_BYTES:
            await self._bucket.put_file(image.key, io.BytesIO(data), image.content_type)
        else:
            await self._bucket.put(image.key, data, image.content_type)

    async def _with_preview(self, image: StoredImage, data: bytes) -> Stored:
        """Whatever is wrong with a preview is no reason to lose an image."""
        try:
            async with asyncio.timeout(PREVIEW_SECONDS):
                return await self._previewed(image, data)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"[:300]
            log.error("preview_failed", key=image.key, error=reason)
            return Stored(image=image, preview_error=reason)

    async def _previewed(self, image: StoredImage, data: bytes) -> Stored:
        make = partial(preview, data, limits=self._limits)
        small = await asyncio.get_running_loop().run_in_executor(self._decoders, make)
        key = f"{image.key}.preview.webp"
        await self._bucket.put(key, small.data, "image/webp")
        kept = StoredPreview(key=key, width=small.width, height=small.height)
        return Stored(image=image, preview=kept, placeholder=small.placeholder)

    def _cleaned(self, result: RenderSucceeded, raw: bytes) -> tuple[StoredImage, bytes]:
        found = inspect(raw, self._limits)
        data = strip_metadata(raw, found.content_type)
        sha256 = hashlib.sha256(data).hexdigest()
        spec = result.spec
        image = StoredImage(
            key=f"{result.tenant}/{result.job_id}/{spec.index}/{sha256}",
            content_type=found.content_type,
            bytes=len(data),
            sha256=sha256,
            width=found.width,
            height=found.height,
            seed=result.seed,
            prompt=spec.prompt,
            provider=result.provider,
            attempt=attempt_of(result),
        )
        return image, data


def attempt_of(result: RenderSucceeded) -> int:
    """The number of the attempt."""
    return int(result.attempt_id.rpartition("/")[2])


def failure(result: RenderSucceeded, error: PermanentError) -> RenderFailed:
    """What is said when an attempt's output is no result of ours: another attempt may do better.

    Not at the same trainer, though: it writes what it writes.
    """
    return RenderFailed(
        attempt_id=result.attempt_id,
        job_id=result.job_id,
        tenant=result.tenant,
        provider=result.provider,
        at=now(),
        code=error.reason,
        message=str(error)[:1000],
        retryable=not isinstance(error, BadWeights),
        billed="yes",
    )
