"""LoRA files in requests: validated as a model would, and labelled by their trigger word."""

import json

import httpx

from deploy.simulators.fetching import Unreachable, fetch


async def lora_label(client: httpx.AsyncClient, url: str) -> str:
    """Return the label of a LoRA. Raise `Unreachable` if the URL has no safetensors weights."""
    data = await fetch(client, url)
    length = int.from_bytes(data[:8], "little")
    try:
        if not data[8:].startswith(b"{") or length > len(data) - 8:
            raise ValueError("not safetensors")
        about = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    except ValueError as error:
        raise Unreachable(url.partition("?")[0], f"not a LoRA: {error}") from error
    return str(about.get("trigger_word") or "LoRA")
