"""Simulated LoRA training from a zip: `fal-ai/flux-lora-fast-training` and the portrait trainer."""

import asyncio
import hashlib
import io
import json
import zipfile
from typing import Any, Final

from pydantic import BaseModel, Field

from deploy.simulators.behaviour import Outcome
from deploy.simulators.fal_models import ModelContext
from deploy.simulators.fetching import fetch
from deploy.simulators.loras import metadata

MIN_IMAGES: Final = 4
BARS: Final = 20
PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp")


class BadArchive(ValueError):
    """An unusable archive, with fal's name of the reason."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class TrainingInput(BaseModel):
    images_data_url: str
    trigger_word: str | None = None
    trigger_phrase: str | None = None
    steps: int = Field(1000, ge=1, le=10000)
    is_style: bool = False


async def train_lora(arguments: dict[str, Any], outcome: Outcome, context: ModelContext) -> dict[str, Any]:
    training = TrainingInput.model_validate(arguments)
    archive = await fetch(context.client, training.images_data_url)
    names = _names(archive)
    pictures = [name for name in names if name.lower().endswith(PICTURES)]
    captions = [name for name in pictures if f"{name.rpartition('.')[0]}.txt" in names]
    word = training.trigger_word or training.trigger_phrase or ""
    await _log_progress(training.steps, outcome.seconds, context)
    config = {
        "trigger_word": word,
        "steps": training.steps,
        "images": len(pictures),
        "captions": len(captions),
    }
    weights = await asyncio.to_thread(_safetensors, word, archive, pictures)
    lora = context.store(weights, "pytorch_lora_weights.safetensors", "application/octet-stream")
    config_file = context.store(json.dumps(config).encode(), "config.json", "application/json")
    return {"diffusers_lora_file": lora, "config_file": config_file}


async def _log_progress(steps: int, seconds: float, context: ModelContext) -> None:
    """Write a progress bar to the log, as trainers do."""
    for part in range(BARS + 1):
        share = part / BARS
        bar = "█" * round(10 * share)
        context.log(f"{round(100 * share):3}%|{bar:10}| {round(steps * share)}/{steps}")
        if part < BARS:
            await asyncio.sleep(seconds / BARS)


def _names(archive: bytes) -> list[str]:
    try:
        names = zipfile.ZipFile(io.BytesIO(archive)).namelist()
    except zipfile.BadZipFile as error:
        raise BadArchive("invalid_archive", str(error)) from error
    pictures = [name for name in names if name.lower().endswith(PICTURES)]
    if len(pictures) < MIN_IMAGES:
        raise BadArchive(
            "archive_file_count_below_minimum",
            f"The archive holds {len(pictures)} images, at least {MIN_IMAGES} are needed",
        )
    return names


def _safetensors(trigger_word: str, archive: bytes, pictures: list[str]) -> bytes:
    """Return a minimal valid safetensors file: a header, and a digest as weights."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        about = metadata(trigger_word, map(opened.read, pictures))
    header = {
        "__metadata__": about,
        "lora.weight": {"dtype": "F32", "shape": [8], "data_offsets": [0, 32]},
    }
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + hashlib.sha256(archive).digest()
