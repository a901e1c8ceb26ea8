"""Accepted calls and their results, behind the HTTP routes of the simulated Modal application."""

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
from deploy.simulators.behaviour import Behaviour, FaultInjector, Outcome
from deploy.simulators.comfyui_models import Models
from deploy.simulators.comfyui_picture import batch_of, read_picture
from deploy.simulators.comfyui_validation import Graph, ValidationResult, validate
from deploy.simulators.drawing import MIME_TYPES, PictureSpec, UnreadableImage
from deploy.simulators.fetching import Unreachable, fetch_all
from deploy.simulators.files import FileStore
from deploy.simulators.job_queue import JobQueue
from deploy.simulators.loras import fetch_lora
from deploy.simulators.renderer import render_in_thread
from deploy.simulators.submission_log import Submission, SubmissionLog
from shared.http.certificates import certificates


class WorkflowRefused(Exception):
    """The graph cannot run. The name is that of the application's failure."""


class WorkflowFailed(Exception):
    """The graph failed or saved nothing. The name is that of the application's failure."""


CALL_ID: Final = re.compile(r"fc-[A-Za-z0-9]+")
OUT_OF_MEMORY: Final = "CUDA out of memory. Tried to allocate 2.25 GiB."


@dataclass(eq=False)
class Call:
    """One spawned function call."""

    id: str
    request: ModalSubmit
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
        self.injector = FaultInjector(behaviour)
        self.submission_log = SubmissionLog()
        self.outputs = FileStore()
        self.job_queue: JobQueue[Call] = JobQueue(self._run, lambda: self.injector.behaviour.concurrency)
        self._client = httpx.AsyncClient(verify=certificates(), trust_env=False, timeout=10)
        self._calls: dict[str, Call] = {}
        self._by_id: dict[str, Call] = {}

    def submit(self, request: ModalSubmit, fault: str | None) -> Call:
        """Start a call, or return the existing call of the same id."""
        if known := self._by_id.get(request.id):
            known.submission.asked += 1
            return known
        prompt = _prompt_of(request)
        call_id = "fc-" + secrets.token_hex(12).upper()
        submission = self.submission_log.enter(call_id, request.id, prompt, request.model_dump(mode="json"))
        call = Call(call_id, request, self.injector.outcome(prompt, fault), submission)
        self._calls[call_id] = self._by_id[request.id] = call
        self.job_queue.put(call)
        return call

    def find(self, call_id: str) -> Call | None:
        return self._calls.get(call_id) if CALL_ID.fullmatch(call_id) else None

    def find_by_id(self, idempotency_key: str) -> Call | None:
        return self._by_id.get(idempotency_key)

    def unfinished(self) -> list[Call]:
        return [call for call in self._calls.values() if call.state in ("pending", "running")]

    def cancel(self, call: Call) -> None:
        if call.state == "ended" or (call.state == "running" and self.injector.behaviour.cancel_is_ignored):
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
        if call.request.is_late(datetime.now(UTC)):
            return _failed(TOO_LATE, "its deadline passed before it could begin")
        if outcome.end != "ok":
            await asyncio.sleep(outcome.seconds)
            if outcome.end == "oom":
                return _failed("OutOfMemoryError", OUT_OF_MEMORY, retryable=True)
            return _failed("ValueError", "the pipeline rejected its input")
        request = call.request.input
        work = (
            self._train(call, request)
            if isinstance(request, ModalTrainingInput)
            else self._draw(call, request)
        )
        try:
            _, result = await asyncio.gather(asyncio.sleep(outcome.seconds), work)
        except (Unreachable, UnreadableImage, WorkflowFailed, WorkflowRefused) as error:
            return _failed(type(error).__name__, str(error))
        return result.model_copy(update={"seed": request.seed, "gpu_seconds": round(outcome.seconds, 3)})

    async def _train(self, call: Call, request: ModalTrainingInput) -> ModalResult:
        path = f"/outputs/{call.id}/lora.safetensors"
        data = await modal_training.train(self._client, request, tiny=self.injector.behaviour.tiny)
        self.outputs.put(f"{call.id}/lora.safetensors", data, modal_training.LORA_TYPE)
        output = ModalOutput(path=path, content_type=modal_training.LORA_TYPE)
        manifest = modal_training.manifest(request, path, data)
        return ModalResult(status="succeeded", outputs=(output,), manifest=manifest)

    async def _draw(self, call: Call, request: ModalImageInput) -> ModalResult:
        graph = request.workflow
        pictures = (
            [await self._picture(call, request)] if graph is None else await self._run_graph(call, graph)
        )
        for at, data in enumerate(pictures):
            self.outputs.put(f"{call.id}/{at}.png", data, MIME_TYPES["png"])
        outputs = tuple(
            ModalOutput(
                path=f"/outputs/{call.id}/{at}.png",
                content_type=MIME_TYPES["png"],
                width=request.width,
                height=request.height,
                nsfw=call.outcome.nsfw,
            )
            for at in range(len(pictures))
        )
        return ModalResult(status="succeeded", outputs=outputs)

    async def _picture(self, call: Call, request: ModalImageInput) -> bytes:
        urls = [url for url in (request.reference_url, request.face_url) if url]
        tiny = self.injector.behaviour.tiny
        references = () if tiny else await fetch_all(self._client, urls)
        lora = await fetch_lora(self._client, request.lora.url) if request.lora and not tiny else None
        spec = PictureSpec(
            request.prompt,
            request.seed,
            request.width,
            request.height,
            references,
            lora.label if lora else None,
            identity=lora.identity if lora else None,
        )
        return await render_in_thread(spec, call.outcome, tiny=tiny)

    async def _run_graph(self, call: Call, graph: Graph) -> list[bytes]:
        """Run a graph in the application's own ComfyUI, which has the same models as the other simulator.

        Return all saved pictures, the result first, as the application does.
        """
        validation = validate(graph, lambda _: False, Models())
        if validation.error is not None or validation.node_errors:
            raise WorkflowRefused(_reason(validation))
        result = result_of(graph, {node: _saved_by(graph, node) for node in validation.outputs})
        if result is None:
            raise WorkflowFailed("the graph ran and saved nothing")
        return [await self._draw_output(call, graph, file) for file in (result.file, *result.dropped)]

    async def _draw_output(self, call: Call, graph: Graph, file: File) -> bytes:
        spec = read_picture(graph, file["subfolder"], lambda _: b"").spec
        spec = replace(spec, seed=spec.seed + int(file["filename"]))
        return await render_in_thread(spec, call.outcome, tiny=self.injector.behaviour.tiny)


def _saved_by(graph: Graph, node: str) -> dict[str, Any]:
    """Return the files that an output node saves, each named by the node and its place in the batch."""
    kind = "temp" if graph[node]["class_type"] == "PreviewImage" else "output"
    files = [{"filename": str(at), "subfolder": node, "type": kind} for at in range(batch_of(graph, node))]
    return {"images": files}


def _reason(validation: ValidationResult) -> str:
    problems = (problem for node in validation.node_errors.values() for problem in node["errors"])
    texts = "; ".join(f"{problem['message']} {problem['details']}" for problem in problems)
    return (
        f"{validation.error['message'] if validation.error else 'nodes would be left out:'} {texts}".strip()
    )


def _prompt_of(request: ModalSubmit) -> str:
    if isinstance(request.input, ModalTrainingInput):
        return request.input.trigger_word
    return request.input.prompt


def _failed(kind: str, message: str, *, retryable: bool = False) -> ModalResult:
    error = ModalError(type=kind, message=message, retryable=retryable)
    return ModalResult(status="failed", error=error)
