"""Pixel operations without a GPU: sizes that a model can draw, PNG files, checks for invalid pictures."""

import io
from typing import Final

from PIL import Image, UnidentifiedImageError

from deploy.modal.failures import CallFailed

MULTIPLE: Final = 16
DARKEST: Final = 2


class BlackImage(CallFailed):
    """The picture is black, from a numeric overflow or a safety checker. It is never a success."""


class UnreadableImage(CallFailed):
    """An input is not a picture."""


def supported_size(width: int, height: int) -> tuple[int, int]:
    """Return the next larger size that the model can draw."""
    return -width // MULTIPLE * -MULTIPLE, -height // MULTIPLE * -MULTIPLE


def crop_to(image: Image.Image, width: int, height: int) -> Image.Image:
    """Return the centre of the picture in the requested size."""
    left, top = (image.width - width) // 2, (image.height - height) // 2
    if (image.width, image.height) == (width, height):
        return image
    return image.crop((left, top, left + width, top + height))


def open_image(data: bytes) -> Image.Image:
    """Decode a picture. Raise `UnreadableImage` if it cannot be decoded."""
    try:
        image = Image.open(io.BytesIO(data))
        return image.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableImage(f"an input is not a picture: {error}") from error


def as_png(image: Image.Image) -> bytes:
    """Encode a picture. Raise `BlackImage` if it is black."""
    check_not_black(image)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def check_not_black(image: Image.Image) -> None:
    _, brightest = image.convert("L").getextrema()
    if isinstance(brightest, int | float) and brightest <= DARKEST:
        raise BlackImage("the picture is black")
