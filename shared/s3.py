"""S3: obstore for single objects, aioboto3 for the rest. Only this module imports them."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, BinaryIO

import aioboto3
import obstore
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, S3Store

from shared.settings import S3Settings
from shared.waiting import Report, unreported, wait_until_up

if TYPE_CHECKING:
    from obstore.store import S3Credential

READ_BYTES = 1024 * 1024
PART_BYTES = 8 * 1024 * 1024
_STATUS = re.compile(r" - Server returned non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")


class NoSuchObject(LookupError):
    """The bucket has no object with this key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"no object under {key!r}")
        self.key = key


class Bucket:
    """Put, get, list, delete and sign objects of one bucket."""

    def __init__(self, client: Any, name: str, store: ObjectStore, signer: S3Store) -> None:
        self._client = client
        self._name = name
        self._store = store
        self._signer = signer

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store an object in one request; replace an object with the same key."""
        attributes = {"Content-Type": content_type}
        with _errors_of("PutObject"):
            await obstore.put_async(self._store, key, data, attributes=attributes, use_multipart=False)

    async def put_file(self, key: str, file: BinaryIO, content_type: str) -> None:
        """Store a file in parts, one after the other, without holding it in memory.

        The client's `upload_fileobj` reads a hundred parts ahead, and with fewer it waits for ever once a
        part has failed.
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
        """Return the object's bytes.

        Raises:
            NoSuchObject: when there is none.
        """
        with _none_under(key), _errors_of("GetObject"):
            found = await obstore.get_async(self._store, key)
            return bytes(await found.bytes_async())

    async def parts(self, key: str) -> AsyncGenerator[bytes, None]:
        """Yield the object's bytes in parts, without holding it in memory. Raises as `get` does."""
        with _none_under(key):
            body = (await self._client.get_object(Bucket=self._name, Key=key))["Body"]
        async with body:  # gives the response within, which has no parts
            async for part in body.iter_chunks(READ_BYTES):
                yield part

    async def delete(self, key: str) -> None:
        """Remove an object; a missing one is not an error."""
        await self._client.delete_object(Bucket=self._name, Key=key)

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys with this prefix, a thousand at most."""
        answer = await self._client.list_objects_v2(Bucket=self._name, Prefix=prefix)
        return [found["Key"] for found in answer.get("Contents", ())]

    async def signed_url(self, key: str, seconds: int = 3600) -> str:
        """Return a link that anyone can read for `seconds`."""
        return obstore.sign(self._signer, "GET", key, timedelta(seconds=seconds))  # asks no server


@contextmanager
def _none_under(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            raise NoSuchObject(key) from None
        raise


@contextmanager
def _errors_of(call: str) -> Iterator[None]:
    """Convert obstore's errors, which have the status in their text only, to botocore's."""
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        text, _, details = str(error).partition("\n\nDebug source:")
        answered = _STATUS.search(text)
        if answered is None:
            kind = re.search(r"kind: (\w+)", details)
            raise HTTPClientError(error=f"{text} ({kind[1]})" if kind else text) from None
        code = _CODE.search(text, answered.end())
        raise ClientError(
            {
                "Error": {"Code": code[1] if code else answered[1], "Message": text},
                "ResponseMetadata": {"HTTPStatusCode": int(answered[1])},
            },
            call,
        ) from None


@asynccontextmanager
async def open_bucket(settings: S3Settings, report: Report = unreported) -> AsyncIterator[Bucket]:
    """Yield the bucket, once the server answers; create it if it is missing.

    Raises:
        StartupError: naming the address, when it does not answer within `startup_seconds`.
    """
    async with _client(settings) as client:
        store = _store(settings, settings.endpoint)
        signer = _store(settings, settings.public_endpoint) if settings.public_endpoint else store
        bucket = Bucket(client, settings.bucket, store, signer)

        async def ensure() -> None:
            try:
                await client.head_bucket(Bucket=settings.bucket)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                    raise
                await _create_bucket(client, settings.bucket)
            with suppress(NoSuchObject):  # obstore has certificates and ways to the server of its own
                await bucket.get(".ready")

        await wait_until_up("S3", settings.endpoint, ensure, seconds=settings.startup_seconds, report=report)
        yield bucket


async def _create_bucket(client: Any, name: str) -> None:
    try:
        await client.create_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise


def _store(settings: S3Settings, endpoint: str) -> S3Store:
    """Set every option: obstore reads missing ones from AWS_*, even a session token beside our keys."""

    def ours() -> "S3Credential":
        return {
            "access_key_id": settings.access_key.get_secret_value(),
            "secret_access_key": settings.secret_key.get_secret_value(),
            "expires_at": None,
        }

    return S3Store(
        settings.bucket,
        aws_endpoint_url_s3=endpoint,
        region=settings.region,
        credential_provider=ours,
        virtual_hosted_style_request=False,
        skip_signature=False,
        unsigned_payload=False,
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "timeout": timedelta(seconds=30),
        },
        retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=10)},
    )


def _client(settings: S3Settings) -> Any:
    return aioboto3.Session().client(
        "s3",
        endpoint_url=settings.endpoint,
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
