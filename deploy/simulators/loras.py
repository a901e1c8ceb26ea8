"""LoRA files: validated as a model would, labelled by their trigger word, and drawn as the trained person.

A real LoRA has learned a face; a simulated one names the identity that its training pictures have in common.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deploy.simulators.drawing import UnreadableImage, open_image
from deploy.simulators.fetching import Unreachable, fetch
from deploy.simulators.identity_watermark import is_identity, read_watermark


@dataclass(frozen=True)
class TrainedPerson:
    """The contents of a LoRA."""

    label: str
    identity: str | None = None
    """None for a LoRA that another trainer made."""


async def fetch_lora(client: httpx.AsyncClient, url: str) -> TrainedPerson:
    """Read a LoRA. Raise `Unreachable` if the URL has no safetensors weights."""
    try:
        return read_lora(await fetch(client, url))
    except ValueError as error:
        raise Unreachable(url.partition("?")[0], f"not a LoRA: {error}") from error


def lora_in(folder: Path | None, name: str) -> TrainedPerson:
    """Read a LoRA of a folder. One that is not there, or not readable, is known by its name only."""
    label = name.removesuffix(".safetensors")
    if folder is None:
        return TrainedPerson(label)
    try:
        return TrainedPerson(label, read_lora((folder / name).read_bytes()).identity)
    except (OSError, ValueError):
        return TrainedPerson(label)


def read_lora(data: bytes) -> TrainedPerson:
    """Read the header of safetensors weights. Raise `ValueError` if they are none."""
    length = int.from_bytes(data[:8], "little")
    if not data[8:].startswith(b"{") or length > len(data) - 8:
        raise ValueError("not safetensors")
    about = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    identity = str(about.get("identity", ""))
    return TrainedPerson(
        str(about.get("trigger_word") or "LoRA"), identity if is_identity(identity) else None
    )


def metadata(trigger_word: str, pictures: Iterable[bytes]) -> dict[str, Any]:
    """Return the `__metadata__` of a LoRA: its trigger word, and the person of most of its pictures."""
    identity = common_identity(pictures)
    return {"trigger_word": trigger_word} | ({"identity": identity} if identity else {})


def common_identity(pictures: Iterable[bytes]) -> str | None:
    """Return the identity of most pictures, or None if none has one."""
    found = Counter(identity for picture in pictures if (identity := _identity_of(picture)))
    return found.most_common(1)[0][0] if found else None


def _identity_of(picture: bytes) -> str | None:
    try:
        return read_watermark(open_image(picture))
    except UnreadableImage:
        return None
