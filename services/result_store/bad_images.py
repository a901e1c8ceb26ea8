"""Reasons why bytes are refused as an image."""

from shared.errors import PermanentError


class BadImage(PermanentError):
    """Bytes that cannot be stored as an image. `reason` is a short code for the failure."""

    reason = "bad_image"


class NotAnImage(BadImage):
    """The bytes are not PNG, JPEG or WebP, regardless of their declared type."""

    reason = "not_an_image"


class ImageCorrupt(BadImage):
    """The bytes start as an image and are truncated or damaged."""

    reason = "image_corrupt"


class ImageUnsupported(BadImage):
    """A valid image of a kind that is not stored: animated, or one that browsers cannot show."""

    reason = "image_unsupported"


class ImageTooLarge(BadImage):
    """More bytes or pixels than the limit."""

    reason = "image_too_large"

    def __init__(self, found: int, limit: int, unit: str) -> None:
        super().__init__(f"the image has {found:,} {unit}, the limit is {limit:,}")
        self.found = found
        self.limit = limit


class WrongSize(BadImage):
    """A valid image whose size is too far from the requested one."""

    reason = "wrong_size"
