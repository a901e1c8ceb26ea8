"""Endpoint → what it asks for and what it answers. A new model is one more entry in `fal_queue.MODELS`."""

import base64
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field

from deploy.simulators.behaviour import Outcome
from deploy.simulators.drawing import MIME_TYPES, Sketch
from deploy.simulators.fetching import fetch_all
from deploy.simulators.files import FileStore
from deploy.simulators.loras import label_of
from deploy.simulators.renderer import make

PRESETS: Final = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
Preset = Literal["square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9"]
Side = Annotated[int, Field(ge=64, le=14142)]


@dataclass(frozen=True)
class Workshop:
    """What a model needs to run: a place for files, and a client to read references with."""

    files: FileStore
    client: httpx.AsyncClient
    base: str
    tiny: bool
    log: Callable[[str], None]

    def keep(self, data: bytes, name: str, content_type: str) -> dict[str, Any]:
        path = f"{secrets.token_hex(8)}/{name}"
        self.files.put(path, data, content_type)
        return {
            "url": f"{self.base}/files/{path}",
            "content_type": content_type,
            "file_name": name,
            "file_size": len(data),
        }


Model = Callable[[dict[str, Any], Outcome, Workshop], Awaitable[dict[str, Any]]]


class Size(BaseModel):
    width: Side
    height: Side


class Lora(BaseModel):
    path: str
    scale: float = Field(1.0, ge=0, le=4)


class ImageInput(BaseModel):
    """The flux family; unknown fields are ignored, as most fal models do."""

    model_config = ConfigDict(extra="ignore")

    prompt: str
    image_size: Preset | Size = "landscape_4_3"
    num_images: int = Field(1, ge=1, le=4)
    seed: int | None = None
    num_inference_steps: int = Field(28, ge=1, le=50)
    guidance_scale: float = Field(3.5, ge=1, le=20)
    acceleration: Literal["none", "regular", "high"] = "none"
    output_format: Literal["jpeg", "png"] = "jpeg"
    enable_safety_checker: bool = True
    sync_mode: bool = False
    loras: list[Lora] = []
    image_url: str | None = None
    reference_image_url: str | None = None

    @property
    def size(self) -> tuple[int, int]:
        if isinstance(self.image_size, Size):
            return self.image_size.width, self.image_size.height
        return PRESETS[self.image_size]


class PulidInput(ImageInput):
    reference_image_url: str


class SwapInput(BaseModel):
    base_image_url: str
    swap_image_url: str


async def draw_images(asked: dict[str, Any], outcome: Outcome, shop: Workshop) -> dict[str, Any]:
    return await _images(ImageInput.model_validate(asked), outcome, shop)


async def draw_identity(asked: dict[str, Any], outcome: Outcome, shop: Workshop) -> dict[str, Any]:
    return await _images(PulidInput.model_validate(asked), outcome, shop)


async def _images(asked: ImageInput, outcome: Outcome, shop: Workshop) -> dict[str, Any]:
    label = None if shop.tiny else await _lora_label(asked.loras, shop.client)
    urls = [url for url in (asked.reference_image_url, asked.image_url) if url]
    references = () if shop.tiny else await fetch_all(shop.client, urls)
    seed = secrets.randbits(48) if asked.seed is None else asked.seed
    images = []
    for index in range(asked.num_images):
        sketch = Sketch(asked.prompt, seed + index, *asked.size, references, label)
        data = await make(
            sketch,
            outcome,
            tiny=shop.tiny,
            black_if_flagged=asked.enable_safety_checker,
            kind=asked.output_format,
        )
        images.append(_image(data, sketch, asked, shop))
    return {
        "images": images,
        "seed": seed,
        "has_nsfw_concepts": [outcome.nsfw] * asked.num_images,
        "prompt": asked.prompt,
        "timings": {"inference": round(outcome.seconds, 4)},
    }


def _image(data: bytes, sketch: Sketch, asked: ImageInput, shop: Workshop) -> dict[str, Any]:
    mime = MIME_TYPES[asked.output_format]
    size = {"width": sketch.width, "height": sketch.height}
    if asked.sync_mode:
        url = f"data:{mime};base64,{base64.b64encode(data).decode()}"
        return {"url": url, "content_type": mime, **size}
    return shop.keep(data, f"image.{asked.output_format}", mime) | size


async def swap_face(asked: dict[str, Any], outcome: Outcome, shop: Workshop) -> dict[str, Any]:
    swap = SwapInput.model_validate(asked)
    urls = [swap.swap_image_url, swap.base_image_url]
    faces = () if shop.tiny else await fetch_all(shop.client, urls)
    sketch = Sketch("face swap", 0, 1024, 1024, faces)
    data = await make(sketch, outcome, tiny=shop.tiny)
    image = shop.keep(data, "swapped.png", MIME_TYPES["png"])
    return {"image": image | {"width": sketch.width, "height": sketch.height}}


async def _lora_label(loras: list[Lora], client: httpx.AsyncClient) -> str | None:
    labels = [await label_of(client, lora.path) for lora in loras]
    return labels[0] if labels else None
