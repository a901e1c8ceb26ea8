"""Behaviour of a real S3: objects are read back unchanged, links work, an outage is survived."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from botocore.exceptions import ClientError
from pydantic import SecretStr

from deploy.local.proxy import Proxy
from deploy.local.stack import Stack
from shared.hashed_file import HashedFile
from shared.ids import uuid7
from shared.s3 import Bucket, NoSuchObject, open_bucket
from shared.settings import S3Settings
from shared.transient import is_transient

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

MIB = 1024 * 1024
LARGE = 100 * MIB


def settings_of(servers: Stack, **other: str) -> S3Settings:
    known = servers.environment
    settings = S3Settings(
        endpoint=known["S3_ENDPOINT"],
        bucket=known["S3_BUCKET"],
        access_key=SecretStr(known["S3_ACCESS_KEY"]),
        secret_key=SecretStr(known["S3_SECRET_KEY"]),
    )
    return settings.model_copy(update=other)


@pytest_asyncio.fixture(loop_scope="module")
async def bucket(servers: Stack) -> AsyncIterator[Bucket]:
    async with open_bucket(settings_of(servers)) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def proxy(servers: Stack) -> AsyncIterator[Proxy]:
    async with Proxy(servers.environment["S3_ENDPOINT"].removeprefix("http://")) as opened:
        yield opened


async def followed(url: str) -> httpx.Response:
    async with httpx.AsyncClient() as anyone:
        return await anyone.get(url)


@asynccontextmanager
async def answering(status: int) -> AsyncIterator[str]:
    """Yield an S3 with an empty bucket that answers each put with this status."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        known = {b"HEAD": (200, b""), b"GET": (404, b"NoSuchKey"), b"PUT": (status, b"SlowDown")}
        number, code = known[head.split()[0]]
        body = b"<Error><Code>%s</Code></Error>" % code if code else b""
        writer.write(b"HTTP/1.1 %d so\r\nConnection: close\r\n" % number)
        writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def a_large_file(path: Path) -> str:
    """Write a large file whose parts all differ; return its hash."""
    known = hashlib.sha256()
    with path.open("wb") as opened:
        for number in range(LARGE // MIB):
            part = hashlib.sha256(str(number).encode()).digest() * (MIB // 32)
            opened.write(part)
            known.update(part)
    return known.hexdigest()


async def test_a_large_file_is_stored_and_read_back_in_parts(bucket: Bucket, tmp_path: Path) -> None:
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


async def test_a_missing_object_is_none_when_read_in_parts(bucket: Bucket) -> None:
    with pytest.raises(NoSuchObject):
        await anext(bucket.parts("acme/none"))


@pytest.mark.parametrize("size", [0, 4096, 7 * MIB], ids=["empty", "small", "big"])
async def test_an_object_is_stored_and_read_back_with_its_type(bucket: Bucket, size: int) -> None:
    key, data = f"acme/{uuid7()}", os.urandom(size)
    await bucket.put(key, data, "image/webp")
    assert hashlib.sha256(await bucket.get(key)).digest() == hashlib.sha256(data).digest()
    assert (await followed(await bucket.signed_url(key))).headers["Content-Type"] == "image/webp"


async def test_the_same_key_again_replaces_data_and_type(bucket: Bucket) -> None:
    key = f"acme/{uuid7()}"
    await bucket.put(key, b"first", "image/png")
    await bucket.put(key, b"2nd", "image/webp")
    answer = await followed(await bucket.signed_url(key))
    assert (answer.content, answer.headers["Content-Type"]) == (b"2nd", "image/webp")


@pytest.mark.parametrize("name", ["two words", "Ünï 画 🎨", "a+b&c=%41?#[x]~*'()!", "a@b:c._-"])
async def test_a_key_may_have_any_letters(bucket: Bucket, name: str) -> None:
    key = f"{uuid7()}/{name}.png"
    await bucket.put(key, b"png", "image/png")
    assert await bucket.keys(key.partition("/")[0]) == [key]
    assert b"".join([part async for part in bucket.parts(key)]) == await bucket.get(key) == b"png"
    assert (await followed(await bucket.signed_url(key))).content == b"png"
    await bucket.delete(key)
    with pytest.raises(NoSuchObject):
        await bucket.get(key)


async def test_a_link_is_valid_for_one_object_and_a_limited_time(bucket: Bucket) -> None:
    key, other = f"acme/{uuid7()}", f"acme/{uuid7()}"
    for each in (key, other):
        await bucket.put(each, b"png", "image/png")
    url = await bucket.signed_url(key)
    last = "0" if url[-1] != "0" else "1"
    for wrong in (
        url.replace(key, other),
        url.replace("=3600", "=9999"),
        url[:-1] + last,
        url.partition("?")[0],
    ):
        assert (await followed(wrong)).status_code == 403
    soon = await bucket.signed_url(key, 1)
    async with asyncio.timeout(20):
        while (await followed(soon)).status_code != 403:
            await asyncio.sleep(0.2)
    assert (await followed(url)).content == b"png"


async def test_links_name_the_public_endpoint(servers: Stack, proxy: Proxy) -> None:
    public = f"http://{proxy.address}"
    async with open_bucket(settings_of(servers, public_endpoint=public)) as bucket:
        await bucket.put("acme/public", b"png", "image/png")
        url = await bucket.signed_url("acme/public")
    assert url.startswith(f"{public}/")
    assert (await followed(url)).content == b"png"


async def test_an_unreachable_server_is_a_transient_failure_until_it_returns(
    servers: Stack, proxy: Proxy
) -> None:
    async with open_bucket(settings_of(servers, endpoint=f"http://{proxy.address}")) as bucket:
        await bucket.put("acme/kept", b"before", "image/png")
        proxy.close()
        for call in (bucket.put("acme/kept", b"meanwhile", "image/png"), bucket.get("acme/kept")):
            with pytest.raises(Exception, match="HTTP error") as reset:
                await call
            assert is_transient(reset.value)
        proxy.open()
        assert await bucket.get("acme/kept") == b"before"
        proxy.cut()
        await bucket.put("acme/kept", b"after", "image/png")
        assert await bucket.get("acme/kept") == b"after"
        await proxy.__aexit__()
        with pytest.raises(Exception, match="HTTP error") as refused:
            await bucket.put("acme/kept", b"never", "image/png")
        assert is_transient(refused.value)


@pytest.mark.parametrize(
    ("status", "passes"),
    [(400, False), (403, False), (404, False), (429, True), (500, True), (503, True)],
)
async def test_the_status_decides_whether_a_failure_is_transient(
    servers: Stack, status: int, passes: bool
) -> None:
    async with answering(status) as address, open_bucket(settings_of(servers, endpoint=address)) as bucket:
        with pytest.raises(ClientError, match="SlowDown") as raised:
            await bucket.put("acme/x", b"png", "image/png")
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert is_transient(raised.value) == passes


async def test_aws_variables_of_the_environment_are_ignored(
    servers: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "another's")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    async with open_bucket(settings_of(servers)) as bucket:
        await bucket.put("acme/own", b"png", "image/png")
        assert (await followed(await bucket.signed_url("acme/own"))).content == b"png"
