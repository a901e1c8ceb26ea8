"""Models of fal by endpoint: their inputs and outputs. A new model is an entry in `fal_queue.MODELS`."""

import base64
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field

from deploy.simulators.behaviour import Outcome
from deploy.simulators.drawing import MIME_TYPES, PictureSpec
from deploy.simulators.fetching import fetch_all
from deploy.simulators.files import FileStore
from deploy.simulators.loras import TrainedPerson, fetch_lora
from deploy.simulators.renderer import render_in_thread

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
class ModelContext:
    """Environment of a running model: its file store, and a client that reads references."""

    files: FileStore
    client: httpx.AsyncClient
    base: str
    tiny: bool
    log: Callable[[str], None]

    def store(self, data: bytes, name: str, content_type: str) -> dict[str, Any]:
        path = f"{secrets.token_hex(8)}/{name}"
        self.files.put(path, data, content_type)
        return {
            "url": f"{self.base}/files/{path}",
            "content_type": content_type,
            "file_name": name,
            "file_size": len(data),
        }


Model = Callable[[dict[str, Any], Outcome, ModelContext], Awaitable[dict[str, Any]]]


class Size(BaseModel):
    width: Side
    height: Side


class Lora(BaseModel):
    path: str
    scale: float = Field(1.0, ge=0, le=4)


class ImageInput(BaseModel):
    """Input of the flux family. Unknown fields are ignored, as most fal models do."""

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


async def draw_images(arguments: dict[str, Any], outcome: Outcome, context: ModelContext) -> dict[str, Any]:
    return await _images(ImageInput.model_validate(arguments), outcome, context)


async def draw_identity(arguments: dict[str, Any], outcome: Outcome, context: ModelContext) -> dict[str, Any]:
    return await _images(PulidInput.model_validate(arguments), outcome, context)


async def _images(arguments: ImageInput, outcome: Outcome, context: ModelContext) -> dict[str, Any]:
    lora = None if context.tiny else await _first_lora(arguments.loras, context.client)
    urls = [url for url in (arguments.reference_image_url, arguments.image_url) if url]
    references = () if context.tiny else await fetch_all(context.client, urls)
    seed = secrets.randbits(48) if arguments.seed is None else arguments.seed
    images = []
    for index in range(arguments.num_images):
        spec = PictureSpec(
            arguments.prompt,
            seed + index,
            *arguments.size,
            references,
            lora.label if lora else None,
            identity=lora.identity if lora else None,
        )
        data = await render_in_thread(
            spec,
            outcome,
            tiny=context.tiny,
            black_if_flagged=arguments.enable_safety_checker,
            kind=arguments.output_format,
        )
        images.append(_image(data, spec, arguments, context))
    return {
        "images": images,
        "seed": seed,
        "has_nsfw_concepts": [outcome.nsfw] * arguments.num_images,
        "prompt": arguments.prompt,
        "timings": {"inference": round(outcome.seconds, 4)},
    }


def _image(data: bytes, spec: PictureSpec, arguments: ImageInput, context: ModelContext) -> dict[str, Any]:
    mime = MIME_TYPES[arguments.output_format]
    size = {"width": spec.width, "height": spec.height}
    if arguments.sync_mode:
        url = f"data:{mime};base64,{base64.b64encode(data).decode()}"
        return {"url": url, "content_type": mime, **size}
    return context.store(data, f"image.{arguments.output_format}", mime) | size


async def swap_face(arguments: dict[str, Any], outcome: Outcome, context: ModelContext) -> dict[str, Any]:
    swap = SwapInput.model_validate(arguments)
    urls = [swap.swap_image_url, swap.base_image_url]
    faces = () if context.tiny else await fetch_all(context.client, urls)
    spec = PictureSpec("face swap", 0, 1024, 1024, faces)
    data = await render_in_thread(spec, outcome, tiny=context.tiny)
    image = context.store(data, "swapped.png", MIME_TYPES["png"])
    return {"image": image | {"width": spec.width, "height": spec.height}}


async def _first_lora(loras: list[Lora], client: httpx.AsyncClient) -> TrainedPerson | None:
    """Read all LoRAs, as a model does, and return the first."""
    found = [await fetch_lora(client, lora.path) for lora in loras]
    return found[0] if found else None
