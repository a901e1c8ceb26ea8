"""HTTP header values as text: clients send UTF-8, servers hand over Latin-1."""

from typing import Annotated

from pydantic import BeforeValidator

from contracts.base import UserId


def header_text(value: str) -> str:
    """A header's text: its bytes as UTF-8 where they are that, else as Latin-1."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


UserIdHeader = Annotated[UserId, BeforeValidator(header_text)]
"""The header `X-User-Id`. Bytes beyond ASCII are UTF-8."""
