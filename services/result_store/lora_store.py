"""A training's output → safetensors weights in the bucket, with a manifest beside them."""

import asyncio
import json
import tempfile
from typing import Any

import structlog

from contracts.renders import LoraManifest, Output, RenderSucceeded, StoredLora
from services.result_store.assets import Stored
from services.result_store.fetching import Fetch, OutputNotReady, OutputUnavailable
from services.result_store.image_store import attempt_of
from services.result_store.images import ImageTooLarge
from services.result_store.weights import WeightsTooLarge, check_safetensors, refuse_pickles_by_name
from shared.hashed_file import HashedFile, TooLong
from shared.s3 import Bucket

log = structlog.get_logger()

WEIGHTS_TYPE = "application/octet-stream"
"""Media type of safetensors, which have no registered one."""


class LoraStore:
    """Streams weights through a temporary file, never through memory as a whole."""

    def __init__(self, fetch: Fetch, bucket: Bucket, max_bytes: int) -> None:
        self._fetch = fetch
        self._bucket = bucket
        self._max_bytes = max_bytes

    async def store(self, result: RenderSucceeded) -> Stored:
        """Store a training's weights, and its manifest after them.

        Raises:
            OutputNotReady: try again later.
            OutputUnavailable, BadWeights: the output cannot be stored.
        """
        weights = next((output for output in result.outputs if output.role == "weights"), None)
        if weights is None:
            raise OutputUnavailable("no weights among the outputs")
        refuse_pickles_by_name(weights)
        config = await self._config(result)
        with tempfile.TemporaryFile() as opened:
            file = HashedFile(opened, self._max_bytes)
            await self._read(result, weights, file)
            await asyncio.to_thread(check_safetensors, opened, file.bytes)
            lora = _lora(result, file)
            opened.seek(0)
            await self._bucket.put_file(lora.key, opened, lora.content_type)
        manifest = _manifest(result, lora, config).model_dump_json(indent=2)
        await self._bucket.put(lora.manifest_key, manifest.encode(), "application/json")
        return Stored(lora=lora)

    async def _read(self, result: RenderSucceeded, weights: Output, file: HashedFile) -> None:
        try:
            await self._fetch.to_file(result.provider, weights, file)
        except TooLong as error:
            raise WeightsTooLarge(error.limit) from error
        if weights.sha256 and weights.sha256 != file.sha256:
            raise OutputNotReady(f"the weights have the hash {file.sha256}, not {weights.sha256}")

    async def _config(self, result: RenderSucceeded) -> dict[str, Any] | None:
        """Return the trainer's configuration; None when it is missing or unreadable."""
        output = next((output for output in result.outputs if output.role == "config"), None)
        if output is None:
            return None
        try:
            config = json.loads(await self._fetch(result.provider, output))
        except (OutputUnavailable, ImageTooLarge, ValueError, RecursionError) as error:
            log.warning("training_config_ignored", attempt_id=result.attempt_id, error=str(error)[:200])
            return None
        return config if isinstance(config, dict) else None


def _lora(result: RenderSucceeded, file: HashedFile) -> StoredLora:
    attempt = attempt_of(result)
    place = f"{result.tenant}/{result.job_id}/{result.spec.index}/{file.sha256}"
    return StoredLora(
        key=f"{place}.safetensors",
        manifest_key=f"{place}.{attempt}.manifest.json",
        content_type=WEIGHTS_TYPE,
        bytes=file.bytes,
        sha256=file.sha256,
        trigger_word=result.spec.prompt,
        base_model=result.base_model or "unknown",
        steps=result.steps or result.spec.steps,
        provider=result.provider,
        attempt=attempt,
    )


def _manifest(result: RenderSucceeded, lora: StoredLora, config: dict[str, Any] | None) -> LoraManifest:
    return LoraManifest(
        **lora.model_dump(exclude={"manifest_key", "content_type"}),
        training_images=result.spec.training_images,
        captions=result.spec.captions,
        provider_seconds=result.provider_seconds,
        created_at=result.at,
        config=config,
    )
