"""Modal in memory: a shared table, calls that run as tasks, and files in a folder."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from contracts.modal_app import ModalImageInput, ModalPending, ModalResult, ModalSubmit, ModalTrainingInput
from deploy.modal.ids import ReservedIds, WorkerTable, progress_key
from deploy.modal.outputs import OutputFolder
from deploy.modal.ports import Calls, CallState, Files, OpenCalls, Stopped, Superseded, Table, Unavailable
from deploy.modal.rejections import rejections
from deploy.modal.routes import create_api
from deploy.modal.settings import AppSettings
from deploy.modal.worker import Job, Progress, work


class FakeTable(Table):
    """A table in memory. `before(verb, key)` may raise, as at the death of a process, or wait."""

    def __init__(self) -> None:
        self.entries: dict[str, object] = {}
        self.before: Callable[[str, str], None] = lambda verb, key: None

    async def get(self, key: str) -> object | None:
        self.before("get", key)
        await asyncio.sleep(0)
        return self.entries.get(key)

    async def put(self, key: str, value: object) -> None:
        self.before("put", key)
        await asyncio.sleep(0)
        self.entries[key] = value

    async def add(self, key: str, value: object) -> bool:
        self.before("add", key)
        await asyncio.sleep(0)
        return self.entries.setdefault(key, value) is value


class FakeWorkerTable(WorkerTable):
    def __init__(self, entries: dict[str, object] | None = None) -> None:
        self.entries: dict[str, object] = {} if entries is None else entries

    def get(self, key: str) -> object | None:
        return self.entries.get(key)

    def put(self, key: str, value: object) -> None:
        self.entries[key] = value

    def add(self, key: str, value: object) -> bool:
        if key in self.entries:
            return False
        self.entries[key] = value
        return True


class FakeOpenCalls(OpenCalls):
    def __init__(self) -> None:
        self.entries: dict[str, str] = {}
        self.away = False

    async def add(self, call_id: str, idempotency_key: str) -> None:
        self._status()
        self.entries[call_id] = idempotency_key

    async def remove(self, call_id: str) -> None:
        self._status()
        self.entries.pop(call_id, None)

    async def all(self) -> dict[str, str]:
        self._status()
        return dict(self.entries)

    def _status(self) -> None:
        if self.away:
            raise Unavailable("away")


class FakeCalls(Calls):
    """Runs the real `work` around `job`, `seconds` after the start of a call, unless `queued_only` is set."""

    def __init__(self, table: FakeTable, job_of: Callable[[str], Job], seconds: float = 0.0) -> None:
        self.started: list[ModalSubmit] = []
        self.states: dict[str, CallState | None] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.cancelled: list[str] = []
        self.queued_only = False
        self.seconds = seconds
        self._table = table
        self._job_of = job_of
        self._numbers = itertools.count(1)

    async def start(self, request: ModalSubmit) -> str:
        await asyncio.sleep(0)
        call_id = f"fc-{next(self._numbers):04}"
        self.started.append(request)
        self.states[call_id] = ModalPending()
        if not self.queued_only:
            self.tasks[call_id] = asyncio.create_task(self.run(call_id, request))
        return call_id

    async def run(self, call_id: str, request: ModalSubmit) -> None:
        if not request.is_late(datetime.now(UTC)):  # as `work` does, which takes no time here
            self._table.entries[progress_key(call_id)] = 0.0
        await asyncio.sleep(self.seconds)
        table = FakeWorkerTable(self._table.entries)
        value = work(request.model_dump(mode="json"), call_id, table, self._job_of(call_id))
        superseded = "superseded_by" in value
        self.states[call_id] = Superseded(value["superseded_by"]) if superseded else ModalResult(**value)

    async def status(self, call_id: str) -> CallState | None:
        state = self.states.get(call_id)
        progress = self._table.entries.get(progress_key(call_id))
        if isinstance(state, ModalPending) and isinstance(progress, float):
            return ModalPending(status="running", progress=progress)
        return state

    async def cancel(self, call_id: str) -> None:
        self.cancelled.append(call_id)
        if call_id in self.tasks:
            self.tasks[call_id].cancel()
        self.states[call_id] = Stopped(started=progress_key(call_id) in self._table.entries)


class FolderFiles(Files):
    def __init__(self, root: Path) -> None:
        self.root = root
        self.opened: list[str] = []

    async def open(self, path: str) -> AsyncIterator[bytes] | None:
        self.opened.append(path)
        file = self.root / path
        return _whole(file.read_bytes()) if file.is_file() else None


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data


class OutOfMemoryError(RuntimeError):
    """Stand-in for the exception of the same name in torch."""


class AppHarness:
    """The real routes, ids and worker, with calls, table and files in memory."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.table = FakeTable()
        self.calls = FakeCalls(self.table, self._job)
        self.open_calls = FakeOpenCalls()
        self.files = FolderFiles(folder)
        self.now: Callable[[], float] = time.time
        self.ids = ReservedIds(
            self.table, stale_seconds=30, wait_seconds=0.05, poll_interval=0.01, clock=self._clock
        )
        self.settings = AppSettings.model_validate(settings)

    def api(self) -> FastAPI:
        return create_api(
            self.calls,
            self.ids,
            self.open_calls,
            self.files,
            lambda request: rejections(request, self.settings),
        )

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(self.api())
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            yield client
        for task in self.calls.tasks.values():
            task.cancel()

    def die_at(self, verb: str, prefix: str) -> None:
        """Make the next process that does this fail there, and only that one."""

        def die(at: str, key: str) -> None:
            if (at, key.startswith(prefix)) == (verb, True):
                self.table.before = lambda *_: None
                raise Unavailable("died")

        self.table.before = die

    def _clock(self) -> float:
        return self.now()

    def _job(self, call_id: str) -> Job:
        def job(request: ModalSubmit, progress: Progress) -> ModalResult:
            kept = OutputFolder(self.folder)
            if isinstance(request.input, ModalTrainingInput):
                weights = self.folder / "weights"
                weights.write_bytes(A_LORA)
                output, manifest = kept.save_lora(call_id, weights, request.input, "flux")
                return ModalResult(status="succeeded", outputs=(output,), manifest=manifest)
            if "[fail]" in request.input.prompt:
                raise ValueError("the pipeline rejected its input")
            if "[oom]" in request.input.prompt:
                raise OutOfMemoryError("CUDA out of memory")
            return self._drawn(call_id, kept, request.input)

        return job

    @staticmethod
    def _drawn(call_id: str, kept: OutputFolder, request: ModalImageInput) -> ModalResult:
        size = (request.width, request.height)
        output = kept.save(call_id, "0.png", b"\x89PNG", size=size, nsfw="[nsfw]" in request.prompt)
        return ModalResult(status="succeeded", outputs=(output,), seed=request.seed)


def _a_lora() -> bytes:
    header = b'{"w":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}}'
    return len(header).to_bytes(8, "little") + header + bytes(4)


A_LORA = _a_lora()


def an_image(idempotency_key: str = "attempt-1", **more: Any) -> dict[str, Any]:
    image = {"prompt": "a lighthouse", "seed": 7, "width": 64, "height": 96}
    return {"id": idempotency_key, "input": image | more}


def a_training(idempotency_key: str = "training-1", **more: Any) -> dict[str, Any]:
    training: dict[str, Any] = {"trigger_word": "mia7", "steps": 300}
    if "images_zip_url" not in more:
        training["images"] = [{"url": "https://bucket.example/1.png"}]
    return {"id": idempotency_key, "kind": "lora_training", "input": training | more}


def image_input(**more: Any) -> ModalImageInput:
    return ModalImageInput.model_validate(an_image(**more)["input"])


def training_input(**more: Any) -> ModalTrainingInput:
    return ModalTrainingInput.model_validate(a_training(**more)["input"])


def request(**more: Any) -> ModalSubmit:
    return ModalSubmit.model_validate(an_image(**more))
