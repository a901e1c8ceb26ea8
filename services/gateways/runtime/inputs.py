"""Input files by asset id or key: as signed links for providers that fetch, as bytes for others."""

from typing import Protocol

from services.gateways.runtime.provider import Refused
from shared.mongo import Collection
from shared.s3 import Bucket, NoSuchObject


class Inputs(Protocol):
    """Where adapters get a request's input files."""

    async def image_url(self, tenant: str, asset_id: str) -> str:
        """A link to a stored image that the provider can read for an hour.

        Raises:
            Refused: `input_not_found` when this tenant has no such asset.
        """

    async def image(self, tenant: str, asset_id: str) -> tuple[str, bytes]:
        """A content-addressed file name, and the image's bytes. Raises as `image_url` does."""

    async def object_url(self, key: str) -> str:
        """A link to an object of our bucket, such as a LoRA, for an hour."""


class StoredInputs(Inputs):
    """Reads `assets` and the bucket."""

    def __init__(self, assets: Collection, bucket: Bucket) -> None:
        self._assets = assets
        self._bucket = bucket

    async def image_url(self, tenant: str, asset_id: str) -> str:
        """See `Inputs`."""
        return await self.object_url(await self._key(tenant, asset_id))

    async def image(self, tenant: str, asset_id: str) -> tuple[str, bytes]:
        """See `Inputs`."""
        key = await self._key(tenant, asset_id)
        try:
            return key.rpartition("/")[2], await self._bucket.get(key)
        except NoSuchObject as missing:
            raise Refused("input_not_found", f"asset {asset_id}: {missing}") from missing

    async def object_url(self, key: str) -> str:
        """See `Inputs`."""
        return await self._bucket.signed_url(key, seconds=3600)

    async def _key(self, tenant: str, asset_id: str) -> str:
        asset = await self._assets.find_one({"_id": asset_id, "tenant": tenant}, {"key": 1})
        if asset is None or not asset.get("key"):
            raise Refused("input_not_found", f"there is no stored image {asset_id!r}")
        return str(asset["key"])
