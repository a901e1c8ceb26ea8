"""Input files: only the tenant's own, as links or in parts."""

from typing import Any

import pytest

from services.gateways.kit.inputs import StoredInputs
from services.gateways.kit.provider import Rejected
from tests.fakes.mongo import FakeCollection
from tests.fakes.results import FakeBucket

JOB = "0195940a-5b40-7d3e-b0c4-8a6b2d7e9f01"
KEY = f"acme/{JOB}/0/aa.safetensors"


class SigningBucket(FakeBucket):
    async def signed_url(self, key: str, seconds: int = 3600) -> str:
        return f"https://bucket.example/{key}?for={seconds}"


def inputs_of(*assets: dict[str, Any], **objects: bytes) -> StoredInputs:
    documents = FakeCollection()
    documents.kept = {asset["_id"]: asset for asset in assets}
    bucket = SigningBucket()
    bucket.objects = {KEY: b"weights"} | objects
    return StoredInputs(documents.mongo, bucket)


async def test_an_image_is_found_by_its_asset_and_its_link_lives_as_long_as_is_asked() -> None:
    inputs = inputs_of({"_id": f"{JOB}/0", "tenant": "acme", "key": "k"})
    assert await inputs.image_url("acme", f"{JOB}/0") == "https://bucket.example/k?for=3600"
    assert await inputs.image_url("acme", f"{JOB}/0", 7200) == "https://bucket.example/k?for=7200"


@pytest.mark.parametrize(
    "asset",
    [
        {"_id": f"{JOB}/0", "tenant": "other", "key": "k"},
        {"_id": f"{JOB}/0", "tenant": "acme"},
        {"_id": f"{JOB}/1", "tenant": "acme", "key": "k"},
    ],
    ids=["another tenant's", "a LoRA or not stored", "another"],
)
async def test_an_asset_that_is_no_image_of_the_tenant_is_not_found(asset: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as raised:
        await inputs_of(asset).image_url("acme", f"{JOB}/0")
    assert raised.value.code == "input_not_found"


async def test_a_lora_of_the_tenants_own_is_linked_and_read() -> None:
    inputs = inputs_of()
    assert await inputs.lora_url("acme", KEY) == f"https://bucket.example/{KEY}?for=3600"
    assert b"".join([part async for part in inputs.lora("acme", KEY)]) == b"weights"


@pytest.mark.parametrize(
    "key",
    [
        KEY.replace("acme", "other"),
        f"acme/../{KEY.replace('acme', 'other')}",
        f"acme/./{JOB}",
        "acme",
        "acme/",
        "/acme/x",
        "acmes/x",
        "acme/a\tb",
        "acme/a\x7f",
        "",
    ],
)
async def test_a_request_cannot_name_another_tenants_objects(key: str) -> None:
    inputs = inputs_of(**{key: b"theirs"})
    with pytest.raises(Rejected) as raised:
        await inputs.lora_url("acme", key)
    assert raised.value.code == "input_not_found"
    with pytest.raises(Rejected):
        await anext(inputs.lora("acme", key))


async def test_a_lora_that_is_gone_is_not_found() -> None:
    with pytest.raises(Rejected) as raised:
        await anext(inputs_of().lora("acme", "acme/gone.safetensors"))
    assert raised.value.code == "input_not_found"
