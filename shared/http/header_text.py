"""HTTP header values as text. Clients send UTF-8; servers decode headers as Latin-1."""

from typing import Annotated

from pydantic import BeforeValidator

from contracts.base import UserId


def header_text(value: str) -> str:
    """Return a header's text: its bytes decoded as UTF-8 if they are valid, else as Latin-1."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


UserIdHeader = Annotated[UserId, BeforeValidator(header_text)]
"""The header `X-User-Id`. Bytes beyond ASCII are UTF-8."""
