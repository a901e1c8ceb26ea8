"""What may be stored as a LoRA: safetensors, and nothing that runs when it is read."""

import json
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

from contracts.renders import Output
from shared.errors import PermanentError

LARGEST_HEADER: Final = 16 * 1024 * 1024
PICKLES: Final = (".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle")
PICKLED: Final = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""How pickles begin: in torch's zip, or bare."""


class BadWeights(PermanentError):
    """Bytes that cannot be stored as a LoRA. `reason` is a short code for the failure."""

    reason = "bad_weights"


class NotSafetensors(BadWeights):
    """The file does not begin as safetensors do, or is not whole."""

    reason = "not_safetensors"


class PickledWeights(BadWeights):
    """Weights in a format that runs code when they are loaded."""

    reason = "pickled_weights"


class WeightsTooLarge(BadWeights):
    """More bytes than the limit."""

    reason = "weights_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the weights have more than {limit:,} bytes")


def refuse_pickles_by_name(output: Output) -> None:
    """Raises `PickledWeights` when the output's own name says that it is one."""
    name = urlsplit(output.url or output.path or "").path.lower()
    if name.endswith(PICKLES):
        raise PickledWeights(f"{name.rpartition('/')[2][:100]}: loading such a file runs the code in it")


def check_safetensors(file: BinaryIO, size: int) -> None:
    """Read the header and see that its tensors are just what follows it.

    Raises:
        PickledWeights, NotSafetensors: it is something else.
    """
    file.seek(0)
    start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    if start[8:] != b"{":
        if start.startswith(PICKLED):
            raise PickledWeights("it is a pickle: loading it runs the code in it")
        raise NotSafetensors("it has no header")
    if length > min(LARGEST_HEADER, size - 8):
        raise NotSafetensors(f"a header of {length:,} bytes in a file of {size:,}")
    file.seek(8)
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise NotSafetensors(f"its header is no JSON: {error}"[:200]) from error
    _check_tensors(header, size - 8 - length)


def _check_tensors(header: dict[str, Any], data_bytes: int) -> None:
    """They follow each other without gaps, up to the end of the file."""
    about = header.pop("__metadata__", {})
    if not isinstance(about, dict) or not all(isinstance(value, str) for value in about.values()):
        raise NotSafetensors("its metadata are not texts")
    if not header:
        raise NotSafetensors("it has no tensors")
    end = 0
    for first, last, name in sorted((*_place(tensor, name), name) for name, tensor in header.items()):
        if first != end or last < first:
            raise NotSafetensors(f"tensor {name[:100]!r} lies at {first} to {last}, after {end}")
        end = last
    if end != data_bytes:
        raise NotSafetensors(f"its tensors are {end:,} bytes, {data_bytes:,} follow the header")


def _place(tensor: Any, name: str) -> tuple[int, int]:
    try:
        first, last = tensor["data_offsets"]
        if isinstance(tensor["dtype"], str) and type(first) is type(last) is int:
            return first, last
    except (KeyError, TypeError, ValueError):
        pass
    raise NotSafetensors(f"tensor {name[:100]!r} does not say where it lies")
