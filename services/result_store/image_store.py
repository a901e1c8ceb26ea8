"""Storage of a provider's image: without metadata in the bucket, with a preview."""

import asyncio
import hashlib
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol, TypeVar

import structlog
from PIL.Image import Image

from contracts.ids import AttemptKey
from contracts.renders import RenderFailed, RenderSucceeded, StoredImage
from contracts.web_addresses import without_addresses
from services.result_store.assets import Stored
from services.result_store.fetching import Fetch, OutputUnavailable
from services.result_store.images import (
    Accepted,
    BadImage,
    ImageCorrupt,
    Limits,
    Preview,
    WrongSize,
    accept,
    encode_preview,
)
from services.result_store.previews import PREVIEW_PAUSES, in_words, put_preview
from services.result_store.sizes import check_size
from services.result_store.weights import BadWeights
from shared.clock import now
from shared.errors import PermanentError
from shared.s3 import Bucket

log = structlog.get_logger()

T = TypeVar("T")

IN_PARTS_BYTES = 8 * 1024 * 1024
DECODED_AT_ONCE = 2
"""Number of images decoded in memory at the same time."""
PREVIEW_SECONDS = 4.0
"""Time limit of a preview beside its image, including the wait for a thread."""


class StoringFailed(PermanentError):
    """An unexpected error while an output was stored."""

    reason = "internal_error"


class OutputStore(Protocol):
    """Stores the output of an attempt in the bucket."""

    async def store(self, result: RenderSucceeded) -> Stored:
        """Fetch, check and store.

        Raises:
            OutputNotReady: try again later.
            PermanentError: the output cannot be stored.
        """


class ImageStore(OutputStore):
    """Fetches, checks, strips and stores images. The object key contains the image's hash."""

    def __init__(
        self,
        fetch: Fetch,
        bucket: Bucket,
        limits: Limits,
        *,
        check: Callable[[bytes, Limits], Accepted] = accept,
        encode: Callable[[Image], Preview] = encode_preview,
        preview_seconds: float = PREVIEW_SECONDS,
    ) -> None:
        self._fetch = fetch
        self._bucket = bucket
        self._limits = limits
        self._check = check
        self._encode = encode
        self._preview_seconds = preview_seconds
        self._decoders = ThreadPoolExecutor(DECODED_AT_ONCE, "decode")

    async def store(self, result: RenderSucceeded) -> Stored:
        """Store the first usable output of an attempt.

        Raises:
            OutputNotReady: try again later.
            OutputUnavailable, BadImage: the output cannot be stored.
        """
        outputs = [o for o in result.outputs if result.spec.nsfw_allowed or not o.nsfw]
        raw = await self._fetch(result.provider, (outputs or list(result.outputs))[0])
        image, accepted = await self._in_thread(partial(self._accepted, result, raw))
        del raw
        with_preview = asyncio.create_task(self._with_preview(image, accepted.small))
        try:
            await self._put(image, accepted.data)
            return await with_preview
        finally:
            with_preview.cancel()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._decoders, work)

    async def _put(self, image: StoredImage, data: bytes) -> None:
        if len(data) > IN_PARTS_BYTES:
            await self._bucket.put_file(image.key, io.BytesIO(data), image.content_type)
        else:
            await self._bucket.put(image.key, data, image.content_type)

    async def _with_preview(self, image: StoredImage, small: Image) -> Stored:
        """Store the preview. If it fails, the image is stored without one, which is made later."""
        try:
            async with asyncio.timeout(self._preview_seconds):
                encoded = await self._in_thread(partial(self._encode, small))
                preview = await put_preview(self._bucket, image.key, encoded)
        except Exception as error:
            reason = in_words(error, self._preview_seconds)
            log.warning("preview_delayed", key=image.key, error=reason)
            return Stored(image=image, preview_error=reason, preview_due_at=now() + PREVIEW_PAUSES[0])
        return Stored(image=image, preview=preview, placeholder=encoded.placeholder)

    def _accepted(self, result: RenderSucceeded, raw: bytes) -> tuple[StoredImage, Accepted]:
        accepted = self._checked(result, raw)
        check_size(result, accepted.width, accepted.height)
        sha256 = hashlib.sha256(accepted.data).hexdigest()
        spec = result.spec
        image = StoredImage(
            key=f"{result.tenant}/{result.job_id}/{spec.index}/{sha256}",
            content_type=accepted.content_type,
            bytes=len(accepted.data),
            sha256=sha256,
            width=accepted.width,
            height=accepted.height,
            seed=result.seed,
            prompt=spec.prompt,
            provider=result.provider,
            attempt=attempt_of(result),
        )
        return image, accepted

    def _checked(self, result: RenderSucceeded, raw: bytes) -> Accepted:
        """Check an image; bytes that cause an unexpected error in a decoder count as damaged too."""
        try:
            return self._check(raw, self._limits)
        except (BadImage, MemoryError):
            raise
        except Exception as error:
            log.exception("image_check_failed", attempt_id=result.attempt_id)
            raise ImageCorrupt(f"the image cannot be checked: {type(error).__name__}: {error}") from error


def attempt_of(result: RenderSucceeded) -> int:
    """Return the number of the attempt."""
    return AttemptKey.parse(result.attempt_id).number


def failure(result: RenderSucceeded, error: Exception) -> RenderFailed:
    """Return the failure of an attempt whose output cannot be stored.

    Another attempt at the provider may succeed, except where its output would be the same: a trainer
    writes the same kind of file, and a provider that ignores the size ignores it again. Other providers
    are still tried. An error that is not about the output is an `internal_error`.
    """
    if not isinstance(error, OutputUnavailable | BadImage | BadWeights):
        error = StoringFailed(f"the output could not be stored: {type(error).__name__}: {error}")
    return RenderFailed(
        attempt_id=result.attempt_id,
        job_id=result.job_id,
        tenant=result.tenant,
        provider=result.provider,
        at=now(),
        code=error.reason,
        message=without_addresses(str(error))[:1000],
        retryable=not isinstance(error, BadWeights | WrongSize),
        billed="yes",
        cost_usd=result.cost_usd,
    )
