"""Only whole safetensors are taken as a LoRA; what runs code when it is read is not."""

import io
import pickle
import zipfile

import pytest

from contracts.renders import Output
from services.result_store.weights import (
    LARGEST_HEADER,
    NotSafetensors,
    PickledWeights,
    check_safetensors,
    refuse_pickles_by_name,
)
from tests.unit.result_store.weights import safetensors, tensor


def check(data: bytes) -> None:
    check_safetensors(io.BytesIO(data), len(data))


def torch_zip() -> bytes:
    """As `torch.save` writes."""
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
def test_whole_safetensors_are_taken(data: bytes) -> None:
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
        (LARGEST_HEADER + 1).to_bytes(8, "little") + b"{" + bytes(100),
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
def test_what_is_no_whole_safetensors_file_is_refused(data: bytes) -> None:
    with pytest.raises(NotSafetensors):
        check(data)


@pytest.mark.parametrize(
    "data",
    [torch_zip(), *(pickle.dumps({"weight": list(range(99))}, protocol=number) for number in (2, 3, 4, 5))],
)
def test_a_pickle_is_refused_as_one(data: bytes) -> None:
    with pytest.raises(PickledWeights):
        check(data)


def test_a_header_as_long_as_a_pickles_first_bytes_say_is_no_pickle() -> None:
    text = b'{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}'
    data = safetensors(text=text.ljust(0x0280))
    assert data.startswith(b"\x80\x02")
    check(data)


def test_a_huge_header_is_refused_without_reading_it() -> None:
    class Told(io.BytesIO):
        most = 0

        def read(self, size: int | None = -1) -> bytes:
            self.most = max(self.most, size or 0)
            return super().read(size)

    file = Told((2**40).to_bytes(8, "little") + b"{")
    with pytest.raises(NotSafetensors):
        check_safetensors(file, 2**41)
    assert file.most < 100


@pytest.mark.parametrize("name", ["w.ckpt", "w.pt", "w.PTH", "w.bin", "w.pkl", "sub/w.bin"])
def test_a_file_that_is_called_a_pickle_is_not_even_fetched(name: str) -> None:
    for output in (Output(url=f"https://v3.fal.media/files/{name}?x=1"), Output(path=f"/outputs/{name}")):
        with pytest.raises(PickledWeights):
            refuse_pickles_by_name(output)


@pytest.mark.parametrize("name", ["w.safetensors", "w.bin.safetensors", "weights", ""])
def test_other_names_say_nothing(name: str) -> None:
    refuse_pickles_by_name(Output(url=f"https://v3.fal.media/files/{name}"))
