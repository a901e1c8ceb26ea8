"""Input files by asset id or key: as signed links for providers that fetch, as bytes for others."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from contracts.object_keys import is_of_tenant
from services.gateways.kit.provider import Rejected
from shared.mongo import Collection
from shared.s3 import Bucket, NoSuchObject

LINK_SECONDS = 3600


class Inputs(Protocol):
    """Source of a request's input files, for adapters."""

    async def image_url(self, tenant: str, asset_id: str, seconds: int = LINK_SECONDS) -> str:
        """Return a link to a stored image that the provider can read for a number of seconds.

        Raises:
            Rejected: `input_not_found` when this tenant has no such asset.
        """

    async def image(self, tenant: str, asset_id: str) -> tuple[str, bytes]:
        """Return a content-addressed file name and the image's bytes. Raises as `image_url` does."""

    async def lora_url(self, tenant: str, key: str) -> str:
        """Return a link to a LoRA in our bucket that is valid for an hour.

        Raises:
            Rejected: `input_not_found` when the key is not one of this tenant's.
        """

    def lora(self, tenant: str, key: str) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of a LoRA in parts. Raises as `lora_url` does, also when it is gone."""


class StoredInputs(Inputs):
    """Reads input files from `assets` and the bucket."""

    def __init__(self, assets: Collection, bucket: Bucket) -> None:
        self._assets = assets
        self._bucket = bucket

    async def image_url(self, tenant: str, asset_id: str, seconds: int = LINK_SECONDS) -> str:
        """See `Inputs`."""
        return await self._bucket.signed_url(await self._key(tenant, asset_id), seconds)

    async def image(self, tenant: str, asset_id: str) -> tuple[str, bytes]:
        """See `Inputs`."""
        key = await self._key(tenant, asset_id)
        try:
            return key.rpartition("/")[2], await self._bucket.get(key)
        except NoSuchObject as missing:
            raise Rejected("input_not_found", f"asset {asset_id}: {missing}") from missing

    async def lora_url(self, tenant: str, key: str) -> str:
        """See `Inputs`."""
        return await self._bucket.signed_url(lora_key(tenant, key), LINK_SECONDS)

    async def lora(self, tenant: str, key: str) -> AsyncGenerator[bytes, None]:
        """See `Inputs`."""
        try:
            async with aclosing(self._bucket.parts(lora_key(tenant, key))) as parts:
                async for part in parts:
                    yield part
        except NoSuchObject as missing:
            raise Rejected("input_not_found", f"LoRA {key}: {missing}") from missing

    async def _key(self, tenant: str, asset_id: str) -> str:
        asset = await self._assets.find_one({"_id": asset_id, "tenant": tenant}, {"key": 1})
        if asset is None or not asset.get("key"):
            raise Rejected("input_not_found", f"there is no stored image {asset_id!r}")
        return str(asset["key"])


def lora_key(tenant: str, key: str) -> str:
    """Return the key if it is in this tenant's part of the bucket: a request may name any key.

    Raises:
        Rejected: it does not.
    """
    if not is_of_tenant(key, tenant):
        raise Rejected("input_not_found", f"there is no LoRA {key[:200]!r}")
    return key
