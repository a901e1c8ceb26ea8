"""Zip archive of images and captions for Fal's trainer. Pure."""

import io
import zipfile
from collections.abc import Sequence

from contracts.captions import training_caption
from services.gateways.kit.provider import Rejected

LARGEST_ARCHIVE = 90 * 1024 * 1024
"""Maximum size of one upload to Fal; more would have to be sent in parts."""
LONG_AGO = (1980, 1, 1, 0, 0, 0)
ENDINGS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp"}


def archive(images: Sequence[bytes], captions: Sequence[str], trigger_word: str) -> bytes:
    """Return an archive of `000.png`, `000.txt` and so on; the same input gives the same bytes.

    With captions the trainer looks for the trigger word nowhere else, so each one gets it; without
    any, the word alone is every image's caption.

    Raises:
        Rejected: an image has an unsupported format, or the archive would be too large.
    """
    if sum(map(len, images)) > LARGEST_ARCHIVE:
        raise Rejected("unsupported", f"more than {LARGEST_ARCHIVE:,} bytes of training images")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        for number, image in enumerate(images):
            _add(opened, f"{number:03}.{_ending(number, image)}", image)
            if captions:
                text = training_caption(captions[number] if number < len(captions) else "", trigger_word)
                _add(opened, f"{number:03}.txt", text.encode())
    return packed.getvalue()


def _ending(number: int, image: bytes) -> str:
    for beginning, ending in ENDINGS.items():
        if image.startswith(beginning):
            return ending
    raise Rejected("invalid_input", f"training image {number} is no PNG, JPEG or WebP")


def _add(opened: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Add a file without compression: images do not get smaller."""
    opened.writestr(zipfile.ZipInfo(name, LONG_AGO), data)
