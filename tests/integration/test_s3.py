"""What only a real S3 shows: large objects come back from their parts as they were."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr

from deploy.local.stack import Stack
from shared.hashed_file import HashedFile
from shared.ids import uuid7
from shared.s3 import Bucket, NoSuchObject, open_bucket
from shared.settings import S3Settings

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

MIB = 1024 * 1024
LARGE = 100 * MIB


@pytest_asyncio.fixture(loop_scope="module")
async def bucket(servers: Stack) -> AsyncIterator[Bucket]:
    known = servers.environment
    settings = S3Settings(
        endpoint=known["S3_ENDPOINT"],
        bucket=known["S3_BUCKET"],
        access_key=SecretStr(known["S3_ACCESS_KEY"]),
        secret_key=SecretStr(known["S3_SECRET_KEY"]),
    )
    async with open_bucket(settings) as opened:
        yield opened


def a_large_file(path: Path) -> str:
    """No two parts of it are alike; gives its hash."""
    known = hashlib.sha256()
    with path.open("wb") as opened:
        for number in range(LARGE // MIB):
            part = hashlib.sha256(str(number).encode()).digest() * (MIB // 32)
            opened.write(part)
            known.update(part)
    return known.hexdigest()


async def test_a_large_file_is_put_and_read_back_in_parts(bucket: Bucket, tmp_path: Path) -> None:
    sha256, key = a_large_file(tmp_path / "weights"), f"acme/{uuid7()}.safetensors"
    with (tmp_path / "weights").open("rb") as opened:
        await bucket.put_file(key, opened, "application/octet-stream")
    with (tmp_path / "back").open("wb") as opened:
        back = HashedFile(opened, LARGE)
        await back.take(bucket.parts(key))
    assert (back.bytes, back.sha256) == (LARGE, sha256)
    place = key.rpartition("/")[0]
    assert await bucket.keys(f"{place}/") == [key]
    await bucket.delete(key)
    assert await bucket.keys(f"{place}/") == []


async def test_an_object_that_is_not_there_is_none_to_read_in_parts(bucket: Bucket) -> None:
    with pytest.raises(NoSuchObject):
        await anext(bucket.parts("acme/none"))
