"""Pixels, without a GPU: sizes that a model can draw, PNG files, and pictures that are none."""

import io
from typing import Final

from PIL import Image, UnidentifiedImageError

from deploy.modal.failures import CallFailed

MULTIPLE: Final = 16
DARKEST: Final = 2


class BlackImage(CallFailed):
    """Numbers overflowed, or a checker painted over the picture: nobody may call that a success."""


class UnreadableImage(CallFailed):
    """An input is no picture."""


def drawn_size(width: int, height: int) -> tuple[int, int]:
    """The next larger sides that the model can draw."""
    return -width // MULTIPLE * -MULTIPLE, -height // MULTIPLE * -MULTIPLE


def cropped(image: Image.Image, width: int, height: int) -> Image.Image:
    """The middle of the picture, in the size that was asked for."""
    left, top = (image.width - width) // 2, (image.height - height) // 2
    if (image.width, image.height) == (width, height):
        return image
    return image.crop((left, top, left + width, top + height))


def opened(data: bytes) -> Image.Image:
    """Raises `UnreadableImage`."""
    try:
        image = Image.open(io.BytesIO(data))
        return image.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableImage(f"an input is no picture: {error}") from error


def as_png(image: Image.Image) -> bytes:
    """Raises `BlackImage`."""
    check_not_black(image)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def check_not_black(image: Image.Image) -> None:
    _, brightest = image.convert("L").getextrema()
    if isinstance(brightest, int | float) and brightest <= DARKEST:
        raise BlackImage("the picture is black")
