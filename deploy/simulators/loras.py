"""A LoRA that a request points at: read as a model would, and called by the word that it was trained on."""

import json

import httpx

from deploy.simulators.fetching import Unreachable, fetch


async def label_of(client: httpx.AsyncClient, url: str) -> str:
    """Raises `Unreachable` where there are no safetensors weights."""
    data = await fetch(client, url)
    length = int.from_bytes(data[:8], "little")
    try:
        if not data[8:].startswith(b"{") or length > len(data) - 8:
            raise ValueError("not safetensors")
        about = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    except ValueError as error:
        raise Unreachable(url.partition("?")[0], f"no LoRA: {error}") from error
    return str(about.get("trigger_word") or "LoRA")
