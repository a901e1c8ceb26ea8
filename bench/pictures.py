"""The one picture that the provider draws in a benchmark."""

from hashlib import sha256
from typing import Final

from deploy.simulators.drawing import tiny

WIDTH, HEIGHT = 896, 1152
"""Size of the pictures in the contracts' examples."""
PICTURE: Final = tiny("png", WIDTH, HEIGHT)
PICTURE_SHA256: Final = sha256(PICTURE).hexdigest()
