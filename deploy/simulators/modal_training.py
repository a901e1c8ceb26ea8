"""Pictures with captions → a small LoRA file, the same for the same pictures: the training half of Modal."""

import hashlib
import io
import json
import zipfile
from typing import Final

import httpx

from contracts.modal_app import ModalManifest, ModalTrainingInput
from deploy.simulators.drawing import UnreadableImage
from deploy.simulators.fetching import fetch, fetch_all

PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp")
BASE_MODEL: Final = "black-forest-labs/FLUX.1-dev"
LORA_TYPE: Final = "application/octet-stream"


async def train(client: httpx.AsyncClient, asked: ModalTrainingInput, *, tiny: bool) -> bytes:
    """Raises `Unreachable` or `UnreadableImage` where a picture cannot be had."""
    if tiny:
        return safetensors(asked, ())
    if asked.images_zip_url:
        return safetensors(asked, _pictures(await fetch(client, asked.images_zip_url)))
    return safetensors(asked, await fetch_all(client, [image.url for image in asked.images]))


def manifest(asked: ModalTrainingInput, path: str, data: bytes) -> ModalManifest:
    return ModalManifest(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        base_model=asked.base_model or BASE_MODEL,
        trigger_word=asked.trigger_word,
        steps=asked.steps,
        rank=asked.rank,
    )


def safetensors(asked: ModalTrainingInput, pictures: tuple[bytes, ...]) -> bytes:
    """A file that a safetensors reader opens: a header, and weights made of a digest."""
    known = asked.model_dump_json(include={"trigger_word", "steps", "rank", "seed"}).encode()
    weights = hashlib.sha256(b"".join([known, *pictures])).digest()
    header = {
        "__metadata__": {"trigger_word": asked.trigger_word},
        "transformer.lora_A.weight": {"dtype": "I8", "shape": [len(weights)], "data_offsets": [0, 32]},
    }
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + weights


def _pictures(archive: bytes) -> tuple[bytes, ...]:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            names = sorted(name for name in opened.namelist() if name.lower().endswith(PICTURES))
            pictures = tuple(opened.read(name) for name in names)
    except zipfile.BadZipFile as error:
        raise UnreadableImage(str(error)) from error
    if not pictures:
        raise UnreadableImage("the archive holds no pictures")
    return pictures
