"""Draw a picture from a prompt, seed, size and references; the same input always gives the same bytes.

The person is that of the first reference, else of the LoRA or its label, so that one identity has one face.
The background and the pose depend on the prompt and the seed. Looks that the prompt names are drawn so.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from random import Random
from typing import Final

from PIL import Image, ImageDraw, ImageFilter
from PIL.PngImagePlugin import PngInfo

from deploy.simulators.caption import write_caption
from deploy.simulators.figure import draw_figure
from deploy.simulators.identity_watermark import read_watermark, write_watermark
from deploy.simulators.looks import Looks, without_looks
from deploy.simulators.palette import Palette

TINY_SIZE: Final = 64
LARGE: Final = 512
INSET_SHARE: Final = 0.2
MIME_TYPES: Final = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


class UnreadableImage(ValueError):
    """A reference cannot be decoded by Pillow."""


@dataclass(frozen=True)
class PictureSpec:
    """All inputs that determine a picture."""

    prompt: str
    seed: int
    width: int
    height: int
    references: tuple[bytes, ...] = ()
    label: str | None = None
    black: bool = False
    """Draw plain black, as safety checkers return flagged pictures."""
    identity: str | None = None
    """The person whom a LoRA has learned. A reference takes precedence."""


def draw(spec: PictureSpec) -> Image.Image:
    """Draw a picture. Large ones are drawn at half size (a quarter of the work), their text at full size."""
    size = (spec.width, spec.height)
    if spec.black:
        return Image.new("RGB", size)
    scene = Random(f"{spec.seed}|{spec.prompt}")
    palette = Palette.of(without_looks(spec.prompt), scene)
    half = 2 if min(size) >= LARGE else 1
    small = _background(palette, scene, (size[0] // half, size[1] // half))
    identity = _identity(spec)
    looks = Looks.of(spec.prompt, Random(identity), Looks.from_code(identity[:8]))
    draw_figure(small, palette, scene, Random(identity), looks)
    picture = small.resize(size, Image.Resampling.BILINEAR) if half > 1 else small
    if spec.references:
        _paste_inset(picture, open_image(spec.references[0]))
    details = f"seed {spec.seed}  ·  {spec.width} x {spec.height}"
    if spec.label:
        details += f"  ·  {spec.label}"
    write_caption(picture, spec.prompt, details)
    write_watermark(picture, identity)
    return picture


def render(spec: PictureSpec, kind: str = "png", text: Mapping[str, str] | None = None) -> bytes:
    """Draw a picture and encode it; `text` becomes PNG text chunks."""
    return encode(draw(spec), kind, text)


def encode(image: Image.Image, kind: str, text: Mapping[str, str] | None = None) -> bytes:
    """Encode a picture, fast rather than small, as these files exist for minutes only."""
    buffer = io.BytesIO()
    if kind == "png":
        chunks = PngInfo()
        for key, value in (text or {}).items():
            chunks.add_text(key, value)
        image.save(buffer, "PNG", compress_level=2, pnginfo=chunks)
    else:
        image.convert("RGB").save(buffer, kind.upper(), quality=88)
    return buffer.getvalue()


@lru_cache(maxsize=64)
def tiny(kind: str = "png", width: int = TINY_SIZE, height: int = TINY_SIZE) -> bytes:
    """Return one plain picture per size, so that benchmarks measure the platform and not Pillow.

    A large picture has half the requested width and height, the smallest size that the platform accepts.
    """
    share = 2 if min(width, height) >= LARGE else 1
    return encode(Image.new("1", (-(-width // share), -(-height // share)), 1), kind)


def open_image(data: bytes) -> Image.Image:
    """Decode a reference and convert it to RGB."""
    try:
        return Image.open(io.BytesIO(data)).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableImage(str(error)) from error


def _identity(spec: PictureSpec) -> str:
    """Return the person as 16 hexadecimal digits: of the reference, the LoRA or the label, else a new one.

    The first half of a new person's digits encodes the looks.
    """
    if spec.references:
        return read_watermark(open_image(spec.references[0])) or _digest(spec.references[0])
    if spec.identity:
        return spec.identity
    digest = _digest((spec.label or f"{spec.seed}|{spec.prompt}").encode())
    looks = Looks.of("" if spec.label else spec.prompt, Random(digest))
    return looks.code() + digest[:8]


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()[:16]


def _background(palette: Palette, rng: Random, size: tuple[int, int]) -> Image.Image:
    width, height = 96, max(8, min(384, 96 * size[1] // size[0]))
    corners = Image.new("RGB", (2, 2))
    for index, colour in enumerate(palette.corners):
        corners.putpixel((index % 2, index // 2), colour)
    canvas = corners.resize((width, height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas, "RGBA")
    for _ in range(7):
        x, y, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.1, 0.32) * width
        pen.ellipse((x - r, y - r, x + r, y + r), fill=(*rng.choice(palette.accents), 110))
    canvas = canvas.filter(ImageFilter.GaussianBlur(width / 24))
    return canvas.resize(size, Image.Resampling.BICUBIC)


def _paste_inset(picture: Image.Image, reference: Image.Image) -> None:
    side = max(8, int(min(picture.size) * INSET_SHARE))
    square = min(reference.size)
    left, top = (reference.width - square) // 2, (reference.height - square) // 2
    crop = reference.resize((side, side), box=(left, top, left + square, top + square))
    mask = Image.new("L", (side * 2, side * 2))
    ImageDraw.Draw(mask).ellipse((0, 0, side * 2 - 1, side * 2 - 1), fill=255)
    margin, ring = side // 6, max(2, side // 28)
    x, y = picture.width - side - margin, margin
    round_mask = mask.resize((side, side), Image.Resampling.BOX)
    rim = mask.resize((side + 2 * ring, side + 2 * ring), Image.Resampling.BOX)
    picture.paste((255, 255, 255), (x - ring, y - ring), rim)
    picture.paste(crop, (x, y), round_mask)
