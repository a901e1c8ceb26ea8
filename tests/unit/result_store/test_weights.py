"""Only whole safetensors files are accepted as a LoRA; pickles are refused."""

import io
import pickle
import tempfile
import zipfile
from typing import Any

import pytest

from contracts.renders import Output
from services.result_store.weights import (
    MAX_HEADER_BYTES,
    NotSafetensors,
    PickledWeights,
    check_safetensors,
    refuse_pickles_by_name,
)
from tests.unit.result_store.weights import safetensors, tensor


def check(data: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        check_safetensors(file, len(data))


def torch_zip() -> bytes:
    """Return weights as `torch.save` writes them."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        opened.writestr("archive/data.pkl", pickle.dumps({"weight": [1.0]}))
    return packed.getvalue()


def long_header() -> bytes:
    names = {f"layer.{number}": tensor(0, 0) for number in range(5)}
    return safetensors(names | {"last": tensor(0, 12)})


@pytest.mark.parametrize(
    "data",
    [
        safetensors(),
        safetensors({"w": tensor(0, 12)}),
        safetensors({"b": tensor(4, 12), "a": tensor(0, 4)}),
        safetensors({"a": tensor(0, 0)}, b""),
        safetensors(text=b'{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}   '),
        long_header(),
    ],
    ids=["two tensors", "one", "not in order", "empty tensor", "padded header", "many"],
)
def test_whole_safetensors_files_are_accepted(data: bytes) -> None:
    check(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x10",
        b"<html>sorry</html>",
        bytes(64),
        safetensors()[:40],
        safetensors()[:-1],
        safetensors() + b"\0",
        (2**63).to_bytes(8, "little") + b"{" + bytes(100),
        (MAX_HEADER_BYTES + 1).to_bytes(8, "little") + b"{" + bytes(100),
        safetensors(text=b"{" + b"}" * 20),
        safetensors(text=b'{"a":' * 5000),
        safetensors(text=b'{"a\xff":{}}'),
        safetensors({}),
        safetensors({"__metadata__": {"a": "b"}}),
        safetensors({"__metadata__": {"a": 1}, "w": tensor(0, 12)}),
        safetensors({"__metadata__": "x", "w": tensor(0, 12)}),
        safetensors({"w": tensor(0, 8)}),
        safetensors({"w": tensor(4, 12)}),
        safetensors({"w": tensor(0, 16)}),
        safetensors({"a": tensor(0, 8), "b": tensor(4, 12)}),
        safetensors({"a": tensor(0, 4), "b": tensor(8, 12)}),
        safetensors({"a": tensor(0, 12), "b": tensor(12, 0)}),
        safetensors({"w": tensor(-4, 12)}),
        safetensors({"w": tensor("0", "12")}),
        safetensors({"w": tensor(False, 12)}),
        safetensors({"w": tensor(0, 12, dtype=7)}),
        safetensors({"w": {"dtype": "F32"}}),
        safetensors({"w": [0, 12]}),
        safetensors({"w": None}),
    ],
)
def test_other_and_damaged_files_are_refused(data: bytes) -> None:
    with pytest.raises(NotSafetensors):
        check(data)


@pytest.mark.parametrize(
    "data",
    [torch_zip(), *(pickle.dumps({"weight": list(range(99))}, protocol=number) for number in (2, 3, 4, 5))],
)
def test_a_pickle_is_refused_by_its_first_bytes(data: bytes) -> None:
    with pytest.raises(PickledWeights):
        check(data)


def test_a_header_whose_length_reads_like_a_pickle_is_accepted() -> None:
    text = b'{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}'
    data = safetensors(text=text.ljust(0x0280))
    assert data.startswith(b"\x80\x02")
    check(data)


def test_a_header_above_the_limit_is_refused_before_it_is_parsed() -> None:
    size = 2 * MAX_HEADER_BYTES
    with tempfile.TemporaryFile() as file:
        file.write((MAX_HEADER_BYTES + 1).to_bytes(8, "little") + b"{")
        file.truncate(size)
        with pytest.raises(NotSafetensors, match="a header of 16,777,217 bytes"):
            check_safetensors(file, size)


@pytest.mark.parametrize("shape", [[10**30], [2**62, 2**62], [3, 10**30], [-3], [3.0], "3", None])
def test_a_shape_that_does_not_fit_its_bytes_is_refused(shape: Any) -> None:
    with pytest.raises(NotSafetensors):
        check(safetensors({"w": tensor(0, 12, shape=shape)}))


@pytest.mark.parametrize("name", ["w.ckpt", "w.pt", "w.PTH", "w.bin", "w.pkl", "sub/w.bin"])
def test_a_file_named_like_a_pickle_is_refused(name: str) -> None:
    for output in (Output(url=f"https://v3.fal.media/files/{name}?x=1"), Output(path=f"/outputs/{name}")):
        with pytest.raises(PickledWeights):
            refuse_pickles_by_name(output)


@pytest.mark.parametrize("name", ["w.safetensors", "w.bin.safetensors", "weights", ""])
def test_other_names_are_accepted(name: str) -> None:
    refuse_pickles_by_name(Output(url=f"https://v3.fal.media/files/{name}"))
