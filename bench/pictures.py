"""The one picture that the provider draws in a benchmark."""

from hashlib import sha256
from typing import Final

from deploy.local.simulators.drawing import tiny

PICTURE: Final = tiny()
PICTURE_SHA256: Final = sha256(PICTURE).hexdigest()
