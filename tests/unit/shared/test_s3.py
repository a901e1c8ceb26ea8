"""Large files go to the bucket in parts, and nothing is left of what fails."""

import asyncio
import io
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError
from obstore.store import MemoryStore, S3Store

from shared.s3 import PART_BYTES, Bucket


class FakeClient:
    """An S3 client that keeps what it is asked; an error or a wait in `trouble` comes with a part."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.parts: list[bytes] = []
        self.completed: dict[str, Any] = {}
        self.trouble: dict[int, Exception | asyncio.Event] = {}

    async def create_multipart_upload(self, **call: Any) -> dict[str, str]:
        self.calls.append("create")
        assert call["ContentType"] == "text/plain"
        return {"UploadId": "u1"}

    async def upload_part(self, **call: Any) -> dict[str, str]:
        trouble = self.trouble.get(call["PartNumber"])
        if isinstance(trouble, Exception):
            raise trouble
        if trouble is not None:
            await trouble.wait()
        assert (call["Bucket"], call["Key"], call["UploadId"]) == ("b", "k", "u1")
        self.calls.append("part")
        self.parts.append(call["Body"])
        return {"ETag": f"e{call['PartNumber']}"}

    async def complete_multipart_upload(self, **call: Any) -> None:
        self.calls.append("complete")
        self.completed = call["MultipartUpload"]

    async def abort_multipart_upload(self, **call: Any) -> None:
        assert call == {"Bucket": "b", "Key": "k", "UploadId": "u1"}
        self.calls.append("abort")


async def put(client: FakeClient, size: int) -> Bucket:
    bucket = Bucket(client, "b", MemoryStore(), S3Store("b"))
    await bucket.put_file("k", io.BytesIO(b"w" * size), "text/plain")
    return bucket


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1])
async def test_a_small_file_is_put_at_once(size: int) -> None:
    client = FakeClient()
    bucket = await put(client, size)
    assert client.calls == []
    assert await bucket.get("k") == b"w" * size


@pytest.mark.parametrize(("size", "parts"), [(PART_BYTES, 1), (2 * PART_BYTES, 2), (2 * PART_BYTES + 7, 3)])
async def test_a_large_file_is_put_in_parts(size: int, parts: int) -> None:
    client = FakeClient()
    await put(client, size)
    assert client.calls == ["create", *["part"] * parts, "complete"]
    assert b"".join(client.parts) == b"w" * size
    assert client.completed == {"Parts": [{"PartNumber": n + 1, "ETag": f"e{n + 1}"} for n in range(parts)]}


async def test_a_failed_part_leaves_nothing_in_the_bucket() -> None:
    client = FakeClient()
    client.trouble[2] = ConnectionClosedError(endpoint_url="http://bucket")
    with pytest.raises(ConnectionClosedError):
        await put(client, 9 * PART_BYTES)
    assert client.calls == ["create", "part", "abort"]


async def test_an_upload_that_takes_too_long_leaves_nothing_in_the_bucket() -> None:
    client = FakeClient()
    client.trouble[2] = asyncio.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await put(client, 3 * PART_BYTES)
    assert client.calls == ["create", "part", "abort"]
