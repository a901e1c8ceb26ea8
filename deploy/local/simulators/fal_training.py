"""A zip of pictures → a LoRA file: `fal-ai/flux-lora-fast-training` and the portrait trainer."""

import io
import json
import zipfile
from typing import Any, Final

from pydantic import BaseModel, Field

from deploy.local.simulators.behaviour import Fate
from deploy.local.simulators.fal_models import Workshop
from deploy.local.simulators.fetching import fetch

LEAST_IMAGES: Final = 4
PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp")


class BadArchive(ValueError):
    """Carries fal's name for the reason."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class TrainingInput(BaseModel):
    images_data_url: str
    trigger_word: str | None = None
    trigger_phrase: str | None = None
    steps: int = Field(1000, ge=1, le=10000)
    is_style: bool = False


async def train_lora(asked: dict[str, Any], fate: Fate, shop: Workshop) -> dict[str, Any]:
    training = TrainingInput.model_validate(asked)
    pictures = _pictures(await fetch(shop.client, training.images_data_url))
    word = training.trigger_word or training.trigger_phrase or ""
    config = {"trigger_word": word, "steps": training.steps, "images": len(pictures)}
    lora = shop.keep(_safetensors(word), "pytorch_lora_weights.safetensors", "application/octet-stream")
    kept = shop.keep(json.dumps(config).encode(), "config.json", "application/json")
    return {"diffusers_lora_file": lora, "config_file": kept}


def _pictures(archive: bytes) -> list[str]:
    try:
        names = zipfile.ZipFile(io.BytesIO(archive)).namelist()
    except zipfile.BadZipFile as error:
        raise BadArchive("invalid_archive", str(error)) from error
    pictures = [name for name in names if name.lower().endswith(PICTURES)]
    if len(pictures) < LEAST_IMAGES:
        raise BadArchive(
            "archive_file_count_below_minimum",
            f"The archive holds {len(pictures)} images, at least {LEAST_IMAGES} are needed",
        )
    return pictures


def _safetensors(trigger_word: str) -> bytes:
    """The smallest file that a safetensors reader opens: a header and one number."""
    header = {
        "__metadata__": {"trigger_word": trigger_word},
        "lora.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
    }
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(4)
