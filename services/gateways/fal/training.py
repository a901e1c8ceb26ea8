"""LoRA training at Fal: the trainer's input, its progress in logs, its result."""

import asyncio
import re
from typing import Any

from contracts.renders import Output
from services.gateways.fal.archives import LARGEST_ARCHIVE, archive
from services.gateways.fal.settings import FalSettings
from services.gateways.fal.storage import FalStorage
from services.gateways.kit.inputs import Inputs
from services.gateways.kit.provider import AttemptRequest, AttemptStatus, Completed, Failed, Payload

ARCHIVES_AT_ONCE = 2
"""Maximum number of archives in memory at once."""
BAR = re.compile(r"(\d{1,3})%\|")


class Training:
    """Trainings at Fal: the input is one archive, the result is files, and the logs show the progress."""

    def __init__(self, storage: FalStorage, inputs: Inputs, settings: FalSettings) -> None:
        self._storage = storage
        self._inputs = inputs
        self._settings = settings
        self._slots = asyncio.Semaphore(ARCHIVES_AT_ONCE)

    async def input_of(self, request: AttemptRequest) -> Payload:
        """Upload the images with their captions and return the trainer's input. Raises as `prepare` does."""
        async with self._slots:
            packed = await asyncio.to_thread(
                archive, await self._images(request), request.spec.captions, request.spec.prompt
            )
            url = await self._storage.upload("images.zip", packed, "application/zip")
        return {"images_data_url": url, "trigger_word": request.spec.prompt, "steps": self._steps(request)}

    async def _images(self, request: AttemptRequest) -> list[bytes]:
        """Read all images, or stop when they exceed the limit."""
        images: list[bytes] = []
        left = LARGEST_ARCHIVE
        for asset_id in request.spec.training_images:
            _, data = await self._inputs.image(request.tenant, asset_id)
            images.append(data)
            left -= len(data)
            if left < 0:
                break
        return images

    def end(self, request: AttemptRequest, body: dict[str, Any], seconds: float | None) -> AttemptStatus:
        """Return the weights and, if there is one, the trainer's configuration."""
        weights = _file(body.get("diffusers_lora_file"), "weights")
        config = _file(body.get("config_file"), "config")
        if weights is None:
            return Failed("no_output", "the training gave no weights", retryable=False, billed="yes")
        return Completed(
            (weights, config) if config else (weights,),
            seconds=seconds,
            base_model=self._settings.training_base_model,
            steps=self._steps(request),
        )

    def _steps(self, request: AttemptRequest) -> int:
        return request.spec.steps or self._settings.training_steps


def percent_in(logs: object) -> int | None:
    """Return the percent of the last progress bar in a request's logs, or None."""
    if not isinstance(logs, list):
        return None
    for entry in reversed(logs):
        bars = BAR.findall(str(entry.get("message") or "")) if isinstance(entry, dict) else []
        if bars:
            return min(100, int(bars[-1]))
    return None


def _file(file: object, role: Any) -> Output | None:
    if not isinstance(file, dict) or not isinstance(file.get("url"), str):
        return None
    kind = file.get("content_type")
    return Output(url=file["url"], content_type=kind if isinstance(kind, str) else None, role=role)
