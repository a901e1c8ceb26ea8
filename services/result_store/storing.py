"""A provider's output → a clean image in the bucket → its asset."""

import asyncio
import hashlib
import io
from dataclasses import dataclass
from typing import Protocol

from contracts.renders import RenderFailed, RenderSucceeded, StoredImage, StoredLora
from services.result_store.fetching import Fetch
from services.result_store.images import Limits, inspect, strip_metadata
from services.result_store.weights import BadWeights
from shared.clock import now
from shared.errors import PermanentError
from shared.s3 import Bucket

IN_PARTS_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stored:
    """What of an attempt is in the bucket now: an image, with its bytes for a preview, or a LoRA."""

    image: StoredImage | None = None
    lora: StoredLora | None = None
    data: bytes = b""


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

    async def store(self, result: RenderSucceeded) -> Stored:
        """Store the first usable output of an attempt.

        Raises:
            OutputLate: try again later.
            OutputUnavailable, BadImage: it will never be an image of ours.
        """
        outputs = [o for o in result.outputs if result.spec.nsfw_allowed or not o.nsfw]
        raw = await self._fetch(result.provider, (outputs or list(result.outputs))[0])
        image, data = await asyncio.to_thread(self._cleaned, result, raw)
        if len(data) > IN_PARTS_BYTES:
            await self._bucket.put_file(image.key, io.BytesIO(data), image.content_type)
        else:
            await self._bucket.put(image.key, data, image.content_type)
        return Stored(image=image, data=data)

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
