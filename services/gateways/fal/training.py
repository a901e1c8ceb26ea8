"""A training's order → the input of Fal's trainer; its logs and its answer → news."""

import asyncio
import re
from typing import Any

from contracts.renders import Output
from services.gateways.fal.archives import LARGEST_ARCHIVE, archive
from services.gateways.fal.settings import FalSettings
from services.gateways.fal.storage import FalStorage
from services.gateways.runtime.inputs import Inputs
from services.gateways.runtime.provider import Broken, Done, News, Order, Payload

ARCHIVES_AT_ONCE = 2
"""Each is held in memory until it is uploaded."""
BAR = re.compile(r"(\d{1,3})%\|")


class Training:
    """What differs from drawing: one archive goes in, files come out, and the logs tell how far it is."""

    def __init__(self, storage: FalStorage, inputs: Inputs, settings: FalSettings) -> None:
        self._storage = storage
        self._inputs = inputs
        self._settings = settings
        self._slots = asyncio.Semaphore(ARCHIVES_AT_ONCE)

    async def input_of(self, order: Order) -> Payload:
        """Uploads the images with their captions. Raises as `prepare` does."""
        async with self._slots:
            packed = await asyncio.to_thread(
                archive, await self._images(order), order.spec.captions, order.spec.prompt
            )
            url = await self._storage.upload("images.zip", packed, "application/zip")
        return {"images_data_url": url, "trigger_word": order.spec.prompt, "steps": self._steps(order)}

    async def _images(self, order: Order) -> list[bytes]:
        """All of them, or so many that they are surely too many."""
        images: list[bytes] = []
        left = LARGEST_ARCHIVE
        for asset_id in order.spec.training_images:
            _, data = await self._inputs.image(order.tenant, asset_id)
            images.append(data)
            left -= len(data)
            if left < 0:
                break
        return images

    def end(self, order: Order, body: dict[str, Any], seconds: float | None) -> News:
        """The weights, and the trainer's configuration where it gives one."""
        weights = _file(body.get("diffusers_lora_file"), "weights")
        config = _file(body.get("config_file"), "config")
        if weights is None:
            return Broken("no_output", "the training gave no weights", retryable=False, billed="yes")
        return Done(
            (weights, config) if config else (weights,),
            seconds=seconds,
            base_model=self._settings.training_base_model,
            steps=self._steps(order),
        )

    def _steps(self, order: Order) -> int:
        return order.spec.steps or self._settings.training_steps


def percent_in(logs: object) -> int | None:
    """How far the last progress bar in a request's logs is; None where there is none."""
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
