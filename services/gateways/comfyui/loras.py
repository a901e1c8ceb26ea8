"""Copies of our LoRAs in the folder from which the server reads LoRAs.

A ComfyUI server accepts no LoRA over HTTP: the file must be in one of its folders, shared with us.
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
"""The server lists only names with a suffix of weights."""
STALE_SECONDS = 3600.0
DAY_SECONDS = 24 * 3600.0
MAX_BYTES = 2 * 1024**3


class LoraFolder:
    """Writes each LoRA once, atomically, under a unique name.

    A file that no render used for `keep_days` is removed when another is written; its mtime is its last use.
    """

    def __init__(self, folder: Path, inputs: Inputs, keep_days: float) -> None:
        self._folder = folder
        self._inputs = inputs
        self._keep_seconds = keep_days * DAY_SECONDS
        self._writing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def place(self, tenant: str, key: str) -> str:
        """Write the LoRA if it is missing; return the name by which a graph loads it.

        Raises:
            Rejected: this tenant has no such LoRA.
            NotAccepted: the file cannot be written now.
        """
        name = file_name(lora_key(tenant, key))  # another tenant's files are in the same folder
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
                file = HashedFile(opened, MAX_BYTES)
                async with aclosing(self._inputs.lora(tenant, key)) as parts:
                    await file.take(parts)
            expected = OF_A_HASH.fullmatch(name)
            if expected and expected["sha256"] != file.sha256:
                raise NotAccepted("lora_not_placed", f"{name}: what was read has the hash {file.sha256}")
            await asyncio.to_thread(os.replace, part, self._folder / name)
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)

    def _new_part(self, name: str) -> Path:
        descriptor, path = tempfile.mkstemp(PART, f".{name}.", self._folder)
        os.fchmod(descriptor, 0o644)  # the server may be another user
        os.close(descriptor)
        return Path(path)

    def _use(self, name: str) -> bool:
        """Return whether the file exists, and mark it as used."""
        try:
            os.utime(self._folder / name)
        except FileNotFoundError:
            return False
        except PermissionError:  # another user owns the file
            return True
        return True

    def _sweep(self) -> None:
        """Remove partial files of killed processes, and files that have not been used for long."""
        with os.scandir(self._folder) as entries:
            for entry in entries:
                keep = self._keep_of(entry.name)
                with suppress(OSError):  # another process may remove it, or an operator owns it
                    if keep and entry.stat().st_mtime < time.time() - keep:
                        os.unlink(entry.path)

    def _keep_of(self, name: str) -> float | None:
        """Return the seconds after which an unused file is removed; None for a file that is not ours."""
        if name.startswith(".") and name.endswith(PART):
            return STALE_SECONDS
        return self._keep_seconds if OURS.fullmatch(name) else None


def file_name(key: str) -> str:
    """Return `{sha256}.safetensors`: the hash of the content if the key has it, else of the key.

    Names chosen by callers could collide between tenants.
    """
    last = key.rpartition("/")[2]
    if OF_A_HASH.fullmatch(last):
        return last
    return f"key-{hashlib.sha256(key.encode()).hexdigest()}.safetensors"
