"""A LoRA for ComfyUI: laid down once in the folder that the server reads, or not done at all."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.gateways.comfyui.loras import STALE_SECONDS, LoraFolder, file_name
from services.gateways.kit.provider import Completed, NotAccepted, Rejected
from tests.fakes.adapters import AdapterHarness, an_adapter_harness
from tests.fakes.provider import FakeInputs, an_attempt_request

WEIGHTS = b"safe weights of a lighthouse keeper"
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
NAME = f"{SHA256}.safetensors"
KEY = f"acme/0195940a-5b40-7d3e-b0c4-8a6b2d7e9f01/0/{NAME}"
KEEP_DAYS = 30.0
LORA = {"key": KEY, "trigger_word": "mia7", "scale": 0.8}
BY_NAME = {"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "{{lora_name}}"}}}
OWN = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 1}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "own"}},
}


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[AdapterHarness]:
    async with an_adapter_harness("comfyui", lora_dir=tmp_path) as made:
        made.inputs.loras[KEY] = WEIGHTS
        yield made


@pytest.fixture
def inputs() -> FakeInputs:
    made = FakeInputs()
    made.loras[KEY] = WEIGHTS
    return made


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_lora_is_laid_down_and_named_with_its_weight(harness: AdapterHarness, tmp_path: Path) -> None:
    request = an_attempt_request("comfyui", lora=LORA)
    assert isinstance(await harness.end(request, await harness.submit(request)), Completed)
    [entry] = await harness.submission_log()
    given = entry["input"]["8"]["inputs"]
    assert (given["lora_name"], given["strength_model"], given["strength_clip"]) == (NAME, 0.8, 0.8)
    assert entry["input"]["1"]["inputs"]["ckpt_name"] == "flux1-dev-fp8.safetensors"
    assert names_in(tmp_path) == [NAME]
    assert (tmp_path / NAME).read_bytes() == WEIGHTS


async def test_a_lora_of_another_model_runs_on_the_servers_own_checkpoint(harness: AdapterHarness) -> None:
    request = an_attempt_request("comfyui", lora=LORA | {"base_model": "sdxl"})
    assert isinstance(await harness.end(request, await harness.submit(request)), Completed)
    [entry] = await harness.submission_log()
    assert entry["input"]["1"]["inputs"]["ckpt_name"] == "sd_xl_base_1.0.safetensors"


@pytest.mark.parametrize("workflow", [None, BY_NAME], ids=["template", "workflow"])
async def test_without_a_shared_folder_a_lora_is_left_to_other_providers(workflow: object) -> None:
    async with an_adapter_harness("comfyui") as harness:
        with pytest.raises(Rejected) as raised:
            await harness.provider.prepare(an_attempt_request("comfyui", lora=LORA, workflow=workflow))
        assert raised.value.code == "unsupported"
        assert "COMFYUI_LORA_DIR" in raised.value.message


async def test_a_workflow_that_loads_no_lora_needs_no_folder() -> None:
    async with an_adapter_harness("comfyui") as harness:
        request = an_attempt_request("comfyui", lora=LORA, workflow=OWN)
        assert isinstance(await harness.end(request, await harness.submit(request)), Completed)


async def test_a_training_is_not_for_comfyui(harness: AdapterHarness) -> None:
    with pytest.raises(Rejected) as raised:
        await harness.provider.prepare(an_attempt_request("comfyui", kind="lora_training"))
    assert raised.value.code == "unsupported"


async def test_a_lora_that_is_gone_fails_for_good(harness: AdapterHarness) -> None:
    harness.inputs.loras.clear()
    with pytest.raises(Rejected) as raised:
        await harness.provider.prepare(an_attempt_request("comfyui", lora=LORA))
    assert raised.value.code == "input_not_found"


async def test_many_renders_at_once_read_their_lora_once(inputs: FakeInputs, tmp_path: Path) -> None:
    folder = LoraFolder(tmp_path, inputs, KEEP_DAYS)
    names = await asyncio.gather(*(folder.place("acme", KEY) for _ in range(10)))
    assert set(names) == {NAME}
    assert await LoraFolder(tmp_path, inputs, KEEP_DAYS).place("acme", KEY) == NAME, "another process, later"
    assert inputs.read == [KEY]


async def test_a_lora_of_one_tenant_is_not_found_for_another(inputs: FakeInputs, tmp_path: Path) -> None:
    folder = LoraFolder(tmp_path, inputs, KEEP_DAYS)
    await folder.place("acme", KEY)
    with pytest.raises(Rejected) as raised:
        await folder.place("other", KEY)
    assert raised.value.code == "input_not_found"


async def test_until_it_is_whole_a_lora_is_not_there(inputs: FakeInputs, tmp_path: Path) -> None:
    seen: set[str] = set()

    async def watch() -> None:
        while NAME not in (names := names_in(tmp_path)):
            seen.update(names)
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    await LoraFolder(tmp_path, inputs, KEEP_DAYS).place("acme", KEY)
    await watching
    assert seen
    assert not any(name.endswith(".safetensors") for name in seen)


async def test_weights_with_the_wrong_hash_are_not_written(inputs: FakeInputs, tmp_path: Path) -> None:
    inputs.loras[KEY] = WEIGHTS + b"!"
    with pytest.raises(NotAccepted):
        await LoraFolder(tmp_path, inputs, KEEP_DAYS).place("acme", KEY)
    assert names_in(tmp_path) == []


async def test_a_folder_that_cannot_be_written_is_no_refusal_for_good(inputs: FakeInputs) -> None:
    with pytest.raises(NotAccepted) as raised:
        await LoraFolder(Path("/proc/none"), inputs, KEEP_DAYS).place("acme", KEY)
    assert raised.value.code == "lora_not_placed"


async def test_a_partial_file_of_a_killed_process_is_removed(inputs: FakeInputs, tmp_path: Path) -> None:
    old, young = tmp_path / ".old.part", tmp_path / ".young.part"
    for part in (old, young):
        part.touch()
    long_ago = time.time() - STALE_SECONDS - 1
    os.utime(old, (long_ago, long_ago))
    await LoraFolder(tmp_path, inputs, KEEP_DAYS).place("acme", KEY)
    assert names_in(tmp_path) == [young.name, NAME]


def test_two_tenants_loras_of_the_same_name_are_two_files() -> None:
    mine, theirs = file_name("acme/mia.safetensors"), file_name("other/mia.safetensors")
    assert mine != theirs
    assert file_name("acme/x.bin").endswith(".safetensors"), "never loaded as a pickle"
    assert file_name(KEY) == NAME


async def test_an_unused_lora_is_removed_when_another_is_written(inputs: FakeInputs, tmp_path: Path) -> None:
    long_ago = time.time() - (KEEP_DAYS + 1) * 24 * 3600
    used, unused, operators = f"{'a' * 64}.safetensors", f"key-{'b' * 64}.safetensors", "detail.safetensors"
    for name in (used, unused, operators):
        (tmp_path / name).write_bytes(b"weights")
        os.utime(tmp_path / name, (long_ago, long_ago))
    folder = LoraFolder(tmp_path, inputs, KEEP_DAYS)
    assert await folder.place("acme", f"acme/job/0/{used}") == used
    await folder.place("acme", KEY)
    assert names_in(tmp_path) == sorted([NAME, used, operators])
