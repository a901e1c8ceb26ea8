"""Run a gateway that counts its polls into the file BENCH_POLLS: python -m bench.poll_counter MODULE"""

import asyncio
import os
import runpy
import sys
from pathlib import Path
from typing import Any

from services.gateways.comfyui.adapter import ComfyUIProvider
from services.gateways.fal.adapter import FalProvider
from services.gateways.modal.adapter import ModalProvider

WRITE_EVERY_SECONDS = 0.5


class Counter:
    """A counter that writes its value to a file from time to time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0
        self._written = 0.0

    def count(self) -> None:
        self._count += 1
        time = asyncio.get_running_loop().time()
        if time - self._written > WRITE_EVERY_SECONDS:
            self._written = time
            self._path.write_text(str(self._count))


def count_polls(kind: Any, counter: Counter) -> None:
    """Count every poll of this adapter class."""
    poll = kind.poll

    async def counted(self: Any, request: Any, ref: Any) -> Any:
        counter.count()
        return await poll(self, request, ref)

    kind.poll = counted


def main(module: str) -> None:
    """Run the module with counted polls."""
    counter = Counter(Path(os.environ["BENCH_POLLS"]))
    for kind in (ComfyUIProvider, FalProvider, ModalProvider):
        count_polls(kind, counter)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1])
