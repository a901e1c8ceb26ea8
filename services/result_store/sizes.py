"""The rule that compares an image's size with the requested size.

`contracts.renders.RenderSucceeded` documents it.
"""

from typing import Final

from contracts.renders import RenderSucceeded
from services.result_store.bad_images import WrongSize

LEAST_SHARE: Final = 0.5
"""Smallest accepted share of each requested side."""
ASPECT_TOLERANCE: Final = 0.05
LEAST_SIDE: Final = 16
"""Smallest side in pixels where the provider chose the size. No image model draws less."""


def check_size(result: RenderSucceeded, width: int, height: int) -> None:
    """Check the size of an image, in pixels.

    Raises:
        WrongSize: the size is too far from the requested one.
    """
    if result.free_size:
        if min(width, height) < LEAST_SIDE:
            raise WrongSize(f"the image has {width}x{height} pixels, less than {LEAST_SIDE} on a side")
        return
    asked = result.spec
    stretched = (width * asked.height) / (height * asked.width)
    alike = 1 - ASPECT_TOLERANCE <= stretched <= 1 + ASPECT_TOLERANCE
    if not alike or width < LEAST_SHARE * asked.width or height < LEAST_SHARE * asked.height:
        raise WrongSize(f"the image has {width}x{height} pixels instead of {asked.width}x{asked.height}")
