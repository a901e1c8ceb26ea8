"""A LoRA of our bucket → a file in the folder that the server reads its LoRAs from.

A ComfyUI server takes no LoRA over HTTP: it must lie in one of its folders, which is shared with us.
"""

import asyncio
import hashlib
import os
import re
import tempfile
import time
from contextlib import aclosing, suppress
from pathlib import Path
from weakref import WeakValueDictionary

from services.gateways.kit.inputs import Inputs, lora_key
from services.gateways.kit.provider import NotAccepted
from shared.hashed_file import HashedFile, TooLong

OF_A_HASH = re.compile(r"(?P<sha256>[0-9a-f]{64})\.safetensors")
OURS = re.compile(r"(key-)?[0-9a-f]{64}\.safetensors")
PART = ".part"
"""The server lists only names that end as weights do."""
STALE_SECONDS = 3600.0
DAY_SECONDS = 24 * 3600.0
MOST_BYTES = 2 * 1024**3


class LoraFolder:
    """Each LoRA is written once, under a name that only it has, and appears there whole.

    What no render used for `keep_days` is removed when another is written: its time is that of its last use.
    """

    def __init__(self, folder: Path, inputs: Inputs, keep_days: float) -> None:
        self._folder = folder
        self._inputs = inputs
        self._keep_seconds = keep_days * DAY_SECONDS
        self._writing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def place(self, tenant: str, key: str) -> str:
        """The name by which a graph can load it, once it is there.

        Raises:
            Refused: this tenant has no such LoRA.
            NotTaken: it cannot be written now.
        """
        name = file_name(lora_key(tenant, key))  # what another tenant's render left is there, too
        writing = self._writing.setdefault(name, asyncio.Lock())
        async with writing:
            try:
                if not await asyncio.to_thread(self._use, name):
                    await self._write(tenant, key, name)
            except (OSError, TooLong) as error:
                raise NotAccepted("lora_not_placed", f"{name}: {type(error).__name__}: {error}") from error
        return name

    async def _write(self, tenant: str, key: str, name: str) -> None:
        await asyncio.to_thread(self._sweep)
        part = await asyncio.to_thread(self._new_part, name)
        try:
            with part.open("wb") as opened:
                file = HashedFile(opened, MOST_BYTES)
                async with aclosing(self._inputs.lora(tenant, key)) as parts:
                    await file.take(parts)
            expected = OF_A_HASH.fullmatch(name)
            if expected and expected["sha256"] != file.sha256:
                raise NotAccepted("lora_not_placed", f"{name}: what was read has the hash {file.sha256}")
            await asyncio.to_thread(os.replace, part, self._folder / name)
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)

    def _new_part(self, name: str) -> Path:
        ref, path = tempfile.mkstemp(PART, f".{name}.", self._folder)
        os.fchmod(ref, 0o644)  # the server may be another user
        os.close(ref)
        return Path(path)

    def _use(self, name: str) -> bool:
        """Whether it is there; then it stays for a while longer."""
        try:
            os.utime(self._folder / name)
        except FileNotFoundError:
            return False
        except PermissionError:  # somebody else laid it down
            return True
        return True

    def _sweep(self) -> None:
        """What a process left that was killed while it wrote, and what has not been used for long."""
        with os.scandir(self._folder) as entries:
            for entry in entries:
                keep = self._keep_of(entry.name)
                with suppress(OSError):  # another process sweeps, too; an operator's file may be kept from us
                    if keep and entry.stat().st_mtime < time.time() - keep:
                        os.unlink(entry.path)

    def _keep_of(self, name: str) -> float | None:
        """How long an unused file stays; None: it is not ours."""
        if name.startswith(".") and name.endswith(PART):
            return STALE_SECONDS
        return self._keep_seconds if OURS.fullmatch(name) else None


def file_name(key: str) -> str:
    """`{sha256}.safetensors`: of the content where the key names it, else of the key itself.

    Names of callers' own would mix up two tenants' characters.
    """
    last = key.rpartition("/")[2]
    if OF_A_HASH.fullmatch(last):
        return last
    return f"key-{hashlib.sha256(key.encode()).hexdigest()}.safetensors"
