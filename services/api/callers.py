"""The caller's identity, set by the product in front of this service."""

from typing import Annotated

from fastapi import Depends, Header

from contracts.base import Name
from services.api.domain import Caller
from shared.http.header_text import UserIdHeader


async def _caller(
    tenant: Annotated[Name, Header(alias="X-Tenant-Id")],
    user_id: Annotated[
        UserIdHeader,
        Header(alias="X-User-Id", description="Printable text of 1 to 256 characters, in UTF-8."),
    ],
) -> Caller:
    return Caller(tenant=tenant, user_id=user_id)


CallerHeaders = Annotated[Caller, Depends(_caller)]
