"""Accepted calls → results: the part of the Modal app that lies behind its HTTP routes."""

import asyncio
import re
import secrets
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

import httpx

from contracts.modal_app import (
    TOO_LATE,
    ModalError,
    ModalImageInput,
    ModalOutput,
    ModalPending,
    ModalResult,
    ModalSubmit,
    ModalTrainingInput,
)
from contracts.workflows import File, result_of
from deploy.simulators import modal_training
from deploy.simulators.behaviour import Behaviour, Director, Outcome
from deploy.simulators.comfyui_models import Models
from deploy.simulators.comfyui_picture import batch_of, read_picture
from deploy.simulators.comfyui_validation import Graph, Verdict, validate
from deploy.simulators.drawing import MIME_TYPES, Sketch, UnreadableImage
from deploy.simulators.fetching import Unreachable, fetch_all
from deploy.simulators.files import FileStore
from deploy.simulators.job_queue import JobQueue
from deploy.simulators.loras import label_of
from deploy.simulators.renderer import make
from deploy.simulators.submission_log import Submission, SubmissionLog
from shared.http.certificates import certificates


class WorkflowRefused(Exception):
    """The graph cannot run; the application gives the failure this name."""


class WorkflowFailed(Exception):
    """The graph ran in vain; the application gives the failure this name."""


CALL_ID: Final = re.compile(r"fc-[A-Za-z0-9]+")
OUT_OF_MEMORY: Final = "CUDA out of memory. Tried to allocate 2.25 GiB."


@dataclass(eq=False)
class Call:
    """One spawned function call."""

    id: str
    asked: ModalSubmit
    outcome: Outcome
    submission: Submission
    started: float | None = None
    state: Literal["pending", "running", "ended", "cancelled"] = "pending"
    result: ModalResult | None = None

    def pending(self) -> ModalPending:
        if self.started is None:
            return ModalPending(status="pending")
        ran = time.monotonic() - self.started
        share = ran / self.outcome.seconds if self.outcome.seconds else 1.0
        return ModalPending(status="running", progress=round(min(99.0, share * 100), 1))


class ModalCalls:
    def __init__(self, behaviour: Behaviour) -> None:
        self.director = Director(behaviour)
        self.submission_log = SubmissionLog()
        self.outputs = FileStore()
        self.job_queue: JobQueue[Call] = JobQueue(self._run, lambda: self.director.behaviour.concurrency)
        self._client = httpx.AsyncClient(verify=certificates(), trust_env=False, timeout=10)
        self._calls: dict[str, Call] = {}
        self._by_id: dict[str, Call] = {}

    def submit(self, asked: ModalSubmit, fault: str | None) -> Call:
        """The same id again gives the same call."""
        if known := self._by_id.get(asked.id):
            known.submission.asked += 1
            return known
        prompt = _words(asked)
        call_id = "fc-" + secrets.token_hex(12).upper()
        submission = self.submission_log.enter(call_id, asked.id, prompt, asked.model_dump(mode="json"))
        call = Call(call_id, asked, self.director.outcome(prompt, fault), submission)
        self._calls[call_id] = self._by_id[asked.id] = call
        self.job_queue.put(call)
        return call

    def find(self, call_id: str) -> Call | None:
        return self._calls.get(call_id) if CALL_ID.fullmatch(call_id) else None

    def find_by_id(self, our_id: str) -> Call | None:
        return self._by_id.get(our_id)

    def unfinished(self) -> list[Call]:
        return [call for call in self._calls.values() if call.state in ("pending", "running")]

    def cancel(self, call: Call) -> None:
        if call.state == "ended" or (call.state == "running" and self.director.behaviour.cancel_is_ignored):
            return
        call.state = call.submission.state = "cancelled"
        if not self.job_queue.remove(lambda waiting: waiting is call):
            self.job_queue.stop(call)

    def forget(self) -> None:
        self.job_queue.forget()
        self._calls.clear()
        self._by_id.clear()
        self.outputs.clear()

    async def close(self) -> None:
        self.job_queue.forget()
        await self._client.aclose()

    async def _run(self, call: Call) -> None:
        call.state = call.submission.state = "running"
        call.started = time.monotonic()
        call.result = await self._result(call)
        call.state = "ended"
        call.submission.state = call.result.status

    async def _result(self, call: Call) -> ModalResult:
        outcome = call.outcome
        if call.asked.is_late(datetime.now(UTC)):
            return _failed(TOO_LATE, "its deadline passed before it could begin")
        if outcome.end != "ok":
            await asyncio.sleep(outcome.seconds)
            if outcome.end == "oom":
                return _failed("OutOfMemoryError", OUT_OF_MEMORY, retryable=True)
            return _failed("ValueError", "the pipeline rejected its input")
        asked = call.asked.input
        making = (
            self._train(call, asked) if isinstance(asked, ModalTrainingInput) else self._draw(call, asked)
        )
        try:
            _, result = await asyncio.gather(asyncio.sleep(outcome.seconds), making)
        except (Unreachable, UnreadableImage, WorkflowFailed, WorkflowRefused) as error:
            return _failed(type(error).__name__, str(error))
        return result.model_copy(update={"seed": asked.seed, "gpu_seconds": round(outcome.seconds, 3)})

    async def _train(self, call: Call, asked: ModalTrainingInput) -> ModalResult:
        path = f"/outputs/{call.id}/lora.safetensors"
        data = await modal_training.train(self._client, asked, tiny=self.director.behaviour.tiny)
        self.outputs.put(f"{call.id}/lora.safetensors", data, modal_training.LORA_TYPE)
        output = ModalOutput(path=path, content_type=modal_training.LORA_TYPE)
        manifest = modal_training.manifest(asked, path, data)
        return ModalResult(status="succeeded", outputs=(output,), manifest=manifest)

    async def _draw(self, call: Call, asked: ModalImageInput) -> ModalResult:
        graph = asked.workflow
        pictures = [await self._picture(call, asked)] if graph is None else await self._run_graph(call, graph)
        for at, data in enumerate(pictures):
            self.outputs.put(f"{call.id}/{at}.png", data, MIME_TYPES["png"])
        outputs = tuple(
            ModalOutput(
                path=f"/outputs/{call.id}/{at}.png",
                content_type=MIME_TYPES["png"],
                width=asked.width,
                height=asked.height,
                nsfw=call.outcome.nsfw,
            )
            for at in range(len(pictures))
        )
        return ModalResult(status="succeeded", outputs=outputs)

    async def _picture(self, call: Call, asked: ModalImageInput) -> bytes:
        urls = [url for url in (asked.reference_url, asked.face_url) if url]
        tiny = self.director.behaviour.tiny
        references = () if tiny else await fetch_all(self._client, urls)
        label = await label_of(self._client, asked.lora.url) if asked.lora and not tiny else None
        sketch = Sketch(asked.prompt, asked.seed, asked.width, asked.height, references, label)
        return await make(sketch, call.outcome, tiny=tiny)

    async def _run_graph(self, call: Call, graph: Graph) -> list[bytes]:
        """Run a graph in the application's own ComfyUI, which has the same models as the other one.

        Returns all saved pictures, the result first, as the application does.
        """
        verdict = validate(graph, lambda _: False, Models())
        if verdict.error is not None or verdict.node_errors:
            raise WorkflowRefused(_why(verdict))
        result = result_of(graph, {node: _saved_by(graph, node) for node in verdict.outputs})
        if result is None:
            raise WorkflowFailed("the graph ran and saved nothing")
        return [await self._drawn(call, graph, file) for file in (result.file, *result.dropped)]

    async def _drawn(self, call: Call, graph: Graph, file: File) -> bytes:
        sketch = read_picture(graph, file["subfolder"], lambda _: b"").sketch
        sketch = replace(sketch, seed=sketch.seed + int(file["filename"]))
        return await make(sketch, call.outcome, tiny=self.director.behaviour.tiny)


def _saved_by(graph: Graph, node: str) -> dict[str, Any]:
    """Return the files that an output node saves, each named by the node and its place in the batch."""
    kind = "temp" if graph[node]["class_type"] == "PreviewImage" else "output"
    files = [{"filename": str(at), "subfolder": node, "type": kind} for at in range(batch_of(graph, node))]
    return {"images": files}


def _why(verdict: Verdict) -> str:
    problems = (problem for node in verdict.node_errors.values() for problem in node["errors"])
    texts = "; ".join(f"{problem['message']} {problem['details']}" for problem in problems)
    return f"{verdict.error['message'] if verdict.error else 'nodes would be left out:'} {texts}".strip()


def _words(asked: ModalSubmit) -> str:
    if isinstance(asked.input, ModalTrainingInput):
        return asked.input.trigger_word
    return asked.input.prompt


def _failed(kind: str, message: str, *, retryable: bool = False) -> ModalResult:
    error = ModalError(type=kind, message=message, retryable=retryable)
    return ModalResult(status="failed", error=error)
