"""Rules for LoRA weights: whole safetensors files only, and no format that runs code when it is loaded."""

from typing import BinaryIO, Final
from urllib.parse import urlsplit

from safetensors import SafetensorError, safe_open

from contracts.renders import Output
from shared.errors import PermanentError

MAX_HEADER_BYTES: Final = 16 * 1024 * 1024
"""The library parses headers of up to 100 MB; those of LoRAs have at most a few."""
PICKLE_ENDINGS: Final = (".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle")
PICKLE_STARTS: Final = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""First bytes of pickles, in torch's zip or bare."""


class BadWeights(PermanentError):
    """Bytes that cannot be stored as a LoRA. `reason` is a short code for the failure."""

    reason = "bad_weights"


class NotSafetensors(BadWeights):
    """The file is not a whole safetensors file."""

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
    """Refuse an output whose file name is that of a pickle.

    Raises:
        PickledWeights: before anything is fetched.
    """
    name = urlsplit(output.url or output.path or "").path.lower()
    if name.endswith(PICKLE_ENDINGS):
        raise PickledWeights(f"{name.rpartition('/')[2][:100]}: loading such a file runs the code in it")


def check_safetensors(file: BinaryIO, size: int) -> None:
    """Check that an open file is safetensors: a header, and exactly the tensors that it describes.

    The library opens files by name. `/dev/fd` gives it one that is already unlinked, and that a crash
    therefore cannot leave behind.

    Raises:
        PickledWeights, NotSafetensors: the file is something else.
    """
    file.flush()
    _check_start(file, size)
    try:
        with safe_open(f"/dev/fd/{file.fileno()}", "np") as opened:
            has_tensors = bool(opened.keys())
    except SafetensorError as error:
        raise NotSafetensors(str(error)[:200]) from error
    if not has_tensors:
        raise NotSafetensors("it has no tensors")


def _check_start(file: BinaryIO, size: int) -> None:
    file.seek(0)
    start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    if start[8:] != b"{":
        if start.startswith(PICKLE_STARTS):
            raise PickledWeights("it is a pickle: loading it runs the code in it")
        raise NotSafetensors("it has no header")
    if length > min(MAX_HEADER_BYTES, size - 8):
        raise NotSafetensors(f"a header of {length:,} bytes in a file of {size:,}")
