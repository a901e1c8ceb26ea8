"""Simulated training on Modal: captioned pictures become a small LoRA file that depends only on them."""

import asyncio
import hashlib
import io
import json
import zipfile
from typing import Final

import httpx

from contracts.modal_app import ModalManifest, ModalTrainingInput
from deploy.simulators.drawing import UnreadableImage
from deploy.simulators.fetching import fetch, fetch_all
from deploy.simulators.loras import metadata

PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp")
BASE_MODEL: Final = "black-forest-labs/FLUX.1-dev"
LORA_TYPE: Final = "application/octet-stream"


async def train(client: httpx.AsyncClient, request: ModalTrainingInput, *, tiny: bool) -> bytes:
    """Return a LoRA file. Raise `Unreachable` or `UnreadableImage` if a picture cannot be read."""
    if tiny:
        return safetensors(request, ())
    if request.images_zip_url:
        pictures = _pictures(await fetch(client, request.images_zip_url))
    else:
        pictures = await fetch_all(client, [image.url for image in request.images])
    return await asyncio.to_thread(safetensors, request, pictures)


def manifest(request: ModalTrainingInput, path: str, data: bytes) -> ModalManifest:
    return ModalManifest(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        base_model=request.base_model or BASE_MODEL,
        trigger_word=request.trigger_word,
        steps=request.steps,
        rank=request.rank,
    )


def safetensors(request: ModalTrainingInput, pictures: tuple[bytes, ...]) -> bytes:
    """Return a valid safetensors file: a header, and a digest as weights."""
    known = request.model_dump_json(include={"trigger_word", "steps", "rank", "seed"}).encode()
    weights = hashlib.sha256(b"".join([known, *pictures])).digest()
    header = {
        "__metadata__": metadata(request.trigger_word, pictures),
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
        raise UnreadableImage("the archive has no pictures")
    return pictures
