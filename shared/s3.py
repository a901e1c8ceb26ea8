"""S3 through aioboto3, in this module only: one shared client per process."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, BinaryIO

import aioboto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from shared.settings import S3Settings
from shared.waiting import wait_until_up

READ_BYTES = 1024 * 1024
PART_BYTES = 8 * 1024 * 1024


class NoSuchObject(LookupError):
    """There is nothing under this key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"no object under {key!r}")
        self.key = key


class Bucket:
    """Put, get, list, delete and sign objects of one bucket."""

    def __init__(self, client: Any, name: str, signer: Any) -> None:
        self._client = client
        self._name = name
        self._signer = signer

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store an object; the same key again replaces it."""
        await self._client.put_object(Bucket=self._name, Key=key, Body=data, ContentType=content_type)

    async def put_file(self, key: str, file: BinaryIO, content_type: str) -> None:
        """Store a file in parts, one after the other: for what is too big to hold.

        Not by the client's own `upload_fileobj`: it reads a hundred parts ahead, and with fewer it
        waits for ever once a part has failed.
        """
        first = await asyncio.to_thread(file.read, PART_BYTES)
        if len(first) < PART_BYTES:
            await self.put(key, first, content_type)
            return
        where = {"Bucket": self._name, "Key": key}
        begun = await self._client.create_multipart_upload(**where, ContentType=content_type)
        where["UploadId"] = begun["UploadId"]
        try:
            parts = await self._put_parts(where, first, file)
            await self._client.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
        except BaseException:
            with suppress(BotoCoreError, ClientError):
                await self._client.abort_multipart_upload(**where)
            raise

    async def _put_parts(self, where: dict[str, str], part: bytes, file: BinaryIO) -> list[dict[str, Any]]:
        stored: list[dict[str, Any]] = []
        while part:
            number = len(stored) + 1
            answer = await self._client.upload_part(**where, PartNumber=number, Body=part)
            stored.append({"PartNumber": number, "ETag": answer["ETag"]})
            part = await asyncio.to_thread(file.read, PART_BYTES)
        return stored

    async def get(self, key: str) -> bytes:
        """The object's bytes.

        Raises:
            NoSuchObject: when there is none.
        """
        async with (await self._open(key))["Body"] as body:
            return bytes(await body.read())

    async def parts(self, key: str) -> AsyncGenerator[bytes, None]:
        """The object's bytes as they come: for what is too big to hold. Raises as `get` does."""
        body = (await self._open(key))["Body"]
        async with body:  # gives the response within, which has no parts
            async for part in body.iter_chunks(READ_BYTES):
                yield part

    async def _open(self, key: str) -> Any:
        try:
            return await self._client.get_object(Bucket=self._name, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                raise NoSuchObject(key) from None
            raise

    async def delete(self, key: str) -> None:
        """Remove an object; none is no error."""
        await self._client.delete_object(Bucket=self._name, Key=key)

    async def keys(self, prefix: str) -> list[str]:
        """What is stored below this: for places with few objects, a thousand at the most."""
        answer = await self._client.list_objects_v2(Bucket=self._name, Prefix=prefix)
        return [found["Key"] for found in answer.get("Contents", ())]

    async def signed_url(self, key: str, seconds: int = 3600) -> str:
        """A link that anyone may read for `seconds`."""
        url: str = await self._signer.generate_presigned_url(
            "get_object", Params={"Bucket": self._name, "Key": key}, ExpiresIn=seconds
        )
        return url


@asynccontextmanager
async def open_bucket(settings: S3Settings) -> AsyncIterator[Bucket]:
    """The bucket, made if it is not there, once the server answers.

    Raises:
        StartupError: naming the address, when it does not answer within `startup_seconds`.
    """
    async with _client(settings, settings.endpoint) as client:

        async def ensure() -> None:
            try:
                await client.head_bucket(Bucket=settings.bucket)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                    raise
                await _create_bucket(client, settings.bucket)

        await wait_until_up("S3", settings.endpoint, ensure, seconds=settings.startup_seconds)
        async with _client(settings, settings.public_endpoint or settings.endpoint) as signer:
            yield Bucket(client, settings.bucket, signer)


async def _create_bucket(client: Any, name: str) -> None:
    try:
        await client.create_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise


def _client(settings: S3Settings, endpoint: str) -> Any:
    return aioboto3.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name=settings.region,
        aws_access_key_id=settings.access_key.get_secret_value(),
        aws_secret_access_key=settings.secret_key.get_secret_value(),
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            max_pool_connections=64,
            connect_timeout=5,
            read_timeout=30,
            retries={"max_attempts": 3, "mode": "standard"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
