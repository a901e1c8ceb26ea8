"""Opaque cursors: JSON in unpadded base64url, for pages and for streams."""

import base64


def encode_cursor(json_text: str) -> str:
    """Return the cursor that contains a JSON text."""
    return base64.urlsafe_b64encode(json_text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> bytes:
    """Return the JSON text in a cursor; the caller validates it.

    Raises:
        ValueError: when the cursor is not base64url.
    """
    padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
    return base64.b64decode(padded, altchars=b"-_", validate=True)
