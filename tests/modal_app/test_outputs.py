"""Allowed file names, valid LoRA files, and the deletion of old folders."""

import hashlib
import os
from pathlib import Path

import pytest

from deploy.modal.outputs import NoSafetensors, OutputFolder, check_safetensors, content_type, volume_path
from tests.modal_app.fakes import A_LORA, training_input


@pytest.mark.parametrize("name", ["0.png", "lora.safetensors", "a-b_1.webp"])
def test_assigned_names_have_a_path(name: str) -> None:
    assert volume_path("fc-01AB", name) == f"fc-01AB/{name}"


@pytest.mark.parametrize(
    ("call_id", "name"),
    [
        ("fc-1", ".."),
        ("fc-1", "../fc-2"),
        ("fc-1", "a/b.png"),
        ("fc-1", ".png"),
        ("fc-1", "a..png"),
        ("fc-1", "0.png\n"),
        ("fc-1", ""),
        ("..", "0.png"),
        ("fc-1/../fc-2", "0.png"),
        ("fc-", "0.png"),
        ("fc-é", "0.png"),
    ],
)
def test_other_names_have_none_and_are_never_written(tmp_path: Path, call_id: str, name: str) -> None:
    assert volume_path(call_id, name) is None
    with pytest.raises(ValueError, match="invalid name of an output"):
        OutputFolder(tmp_path).save(call_id, name, b"")
    assert list(tmp_path.iterdir()) == []


def test_the_content_type_follows_from_the_name() -> None:
    assert content_type("0.PNG") == "image/png"
    assert content_type("lora.safetensors") == "application/octet-stream"


def test_a_lora_is_stored_with_its_manifest(tmp_path: Path) -> None:
    weights = tmp_path / "trained"
    weights.write_bytes(A_LORA)
    output, manifest = OutputFolder(tmp_path).save_lora("fc-1", weights, training_input(rank=8), "flux")
    kept = (tmp_path / "fc-1" / "lora.safetensors").read_bytes()
    assert output.path == manifest.path == "/outputs/fc-1/lora.safetensors"
    assert (manifest.sha256, manifest.bytes) == (hashlib.sha256(kept).hexdigest(), len(A_LORA))
    assert (manifest.base_model, manifest.trigger_word, manifest.rank) == ("flux", "mia7", 8)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>not found</html>",
        A_LORA[:-1],
        A_LORA + b"x",
        (2**60).to_bytes(8, "little") + A_LORA[8:],
        (2).to_bytes(8, "little") + b"{}",
        (4).to_bytes(8, "little") + b"[{}]",
    ],
)
def test_a_file_that_is_not_a_lora_is_rejected(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "lora"
    path.write_bytes(data)
    with pytest.raises(NoSafetensors):
        check_safetensors(path)


def test_old_folders_of_calls_are_deleted_and_nothing_else(tmp_path: Path) -> None:
    for name, changed in (("fc-1", 100), ("fc-2", 300), ("models", 100)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (changed, changed))
    assert OutputFolder(tmp_path).sweep(older_than=200) == 1
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["fc-2", "models"]
