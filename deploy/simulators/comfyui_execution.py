"""Run one prompt node by node and send its events in the order of the real server."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from posixpath import normpath
from typing import Any, Final, Protocol

from PIL import Image

from deploy.simulators import drawing
from deploy.simulators.behaviour import FaultInjector
from deploy.simulators.comfyui_disk import Disk, escapes
from deploy.simulators.comfyui_jobs import ComfyJob, now_ms
from deploy.simulators.comfyui_models import Models
from deploy.simulators.comfyui_nodes import node_classes
from deploy.simulators.comfyui_picture import READERS, ancestors, batch_of, linked, read_picture
from deploy.simulators.comfyui_sockets import Sockets
from deploy.simulators.renderer import render_in_thread

SAMPLERS: Final = ("KSampler", "KSamplerAdvanced", "SamplerCustomAdvanced")
MAX_STEPS: Final = 20
OUTSIDE: Final = "**** ERROR: Saving image outside the output folder is not allowed."
OUT_OF_MEMORY: Final = (
    "Allocation on device 0 would exceed allowed memory. (out of memory)\n"
    "This error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked before "
    "you might have accidentally set the batch_size to a large number."
)


class Interrupted(Exception):
    """The job was interrupted between two steps."""


class NodeFailed(Exception):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ServerState(Protocol):
    """The parts of a ComfyUI server that an execution uses."""

    injector: FaultInjector
    sockets: Sockets
    disk: Disk
    models: Models
    cache: dict[str, Any]


class Execution:
    def __init__(self, job: ComfyJob, server: ServerState) -> None:
        self._job = job
        self._server = server
        self._graph = job.graph
        self._order = list(_order(job))
        self._cache_keys = {node: self._cache_key(node) for node in self._order}
        self._progress: dict[str, dict[str, Any]] = {}
        self._cached: dict[str, dict[str, Any] | None] = {}
        self._executed: list[str] = []
        self._latency_node = self._find_latency_node()

    async def run(self) -> None:
        """Run the prompt; the job's last message is its end."""
        self._record("execution_start", {})
        cache = self._server.cache
        self._cached = {node: cache[key] for node, key in self._cache_keys.items() if key in cache}
        self._record("execution_cached", {"nodes": list(self._cached)})
        self._server.cache = {self._cache_keys[node]: it for node, it in self._cached.items()}
        try:
            for node in self._order:
                if node in self._cached:
                    self._replay(node)
                else:
                    await self._run_node(node)
        except Interrupted:
            self._record("execution_interrupted", self._location(), to_all=True)
        except NodeFailed as error:
            self._record("execution_error", self._location() | self._error_details(error))
        else:
            self._record("execution_success", {})

    def _replay(self, node: str) -> None:
        output = self._cached[node]
        if output is not None:
            self._emit_output(node, output)
            self._set_progress(node, "finished", 1, 1)

    async def _run_node(self, node: str) -> None:
        self._job.node = node
        self._set_progress(node, "running", 0.0, 1.0)
        self._emit("executing", {"node": node, "display_node": node})
        if self._job.stop.is_set():
            raise Interrupted
        output = await self._execute(node)
        if output is not None:
            self._emit_output(node, output)
        self._server.cache[self._cache_keys[node]] = output
        self._executed.append(node)
        value = self._progress[node]["max"]
        self._set_progress(node, "finished", value, value)

    async def _execute(self, node: str) -> dict[str, Any] | None:
        name, inputs = self._graph[node]["class_type"], self._graph[node].get("inputs", {})
        if name == "LabSlow":
            await self._steps(node, inputs["steps"], inputs["delay_ms"] / 1000)
        elif name == "LabFail":
            raise NodeFailed("RuntimeError", inputs["message"])
        elif name in READERS:
            await self._check_readable(inputs["image"])
        if node == self._latency_node:
            await self._spend_latency(node, inputs)
        return await self._save(node) if node_classes()[name].is_output else None

    async def _spend_latency(self, node: str, inputs: dict[str, Any]) -> None:
        outcome = self._job.outcome
        steps = 1
        if self._server.sockets.listening(self._job.client_id) and outcome.seconds:
            steps = max(1, min(MAX_STEPS, inputs.get("steps", MAX_STEPS)))
        await self._steps(node, steps, outcome.seconds / steps)
        if outcome.end == "oom":
            raise NodeFailed("torch.OutOfMemoryError", OUT_OF_MEMORY)
        if outcome.end == "fail":
            raise NodeFailed("RuntimeError", "simulated failure of the graph")

    async def _steps(self, node: str, count: int, seconds: float) -> None:
        for step in range(1, count + 1):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._job.stop.wait(), seconds)
            if self._job.stop.is_set():
                raise Interrupted
            if count > 1:
                self._set_progress(node, "running", step, count)
                self._emit("progress", {"value": step, "max": count, "node": node}, to_all=True)
                self._preview(node)

    def _preview(self, node: str) -> None:
        """Send a preview of the unfinished picture, as after each step of a sampler."""
        if self._graph[node]["class_type"] in SAMPLERS:
            keys = ("node_id", "prompt_id", "display_node_id", "parent_node_id", "real_node_id")
            about = {key: self._progress[node][key] for key in keys}
            self._server.sockets.send_preview(drawing.tiny("jpeg"), about, self._job.client_id)

    async def _check_readable(self, name: str) -> None:
        if self._server.injector.behaviour.tiny:
            return
        try:
            await asyncio.to_thread(drawing.open_image, self._server.disk.load(name))
        except (drawing.UnreadableImage, FileNotFoundError) as error:
            raise NodeFailed("PIL.UnidentifiedImageError", str(error)) from error

    async def _save(self, node: str) -> dict[str, Any]:
        inputs = self._graph[node]["inputs"]
        preview = self._graph[node]["class_type"] == "PreviewImage"
        folder = "temp" if preview else "output"
        prefix = "ComfyUI_temp" if preview else str(inputs["filename_prefix"])
        if escapes(normpath(prefix.replace("\\", "/"))):
            raise NodeFailed("Exception", f"{OUTSIDE}\n full_output_folder: /{normpath(prefix)}")
        images = []
        for data in await self._pictures(node):
            saved = self._server.disk.next_name(folder, prefix)
            self._server.disk.save(saved, data)
            images.append(saved.view())
        output: dict[str, Any] = {"images": images}
        return output | ({"nsfw": [True]} if self._job.outcome.nsfw else {})

    async def _pictures(self, node: str) -> list[bytes]:
        tiny, outcome = self._server.injector.behaviour.tiny, self._job.outcome
        batch = batch_of(self._graph, node)
        load = (lambda _: b"") if tiny else self._server.disk.load
        picture = read_picture(self._graph, node, load, self._server.models.lora_dir)
        if tiny:
            return [drawing.tiny("png", picture.spec.width, picture.spec.height)] * batch
        text = self._metadata()
        spec = picture.spec
        if picture.flat_colour is not None:
            colour = f"#{picture.flat_colour:06x}"
            flat = Image.new("RGB", (spec.width, spec.height), colour)
            return [drawing.encode(flat, "png", text)] * batch
        specs = [replace(spec, seed=spec.seed + index) for index in range(batch)]
        return [await render_in_thread(one, outcome, tiny=False, text=text) for one in specs]

    def _metadata(self) -> dict[str, str]:
        extra = self._job.extra.get("extra_pnginfo", {})
        return {"prompt": json.dumps(self._graph)} | {key: json.dumps(value) for key, value in extra.items()}

    def _find_latency_node(self) -> str | None:
        """Return the node that takes the latency: the sampler, or else the first output node."""
        kinds = {node: self._graph[node]["class_type"] for node in self._order}
        samplers = (node for node, kind in kinds.items() if kind in SAMPLERS)
        outputs = (node for node, kind in kinds.items() if node_classes()[kind].is_output)
        return next(samplers, None) or next(outputs, None)

    def _cache_key(self, node: str) -> str:
        """Return a cache key: equal for nodes with equal inputs and equal ancestors."""
        parts = [self._graph[one] for one in ancestors(self._graph, node)]
        names = [part["inputs"]["image"] for part in parts if part["class_type"] in READERS]
        files = [sha256(self._server.disk.load(name)).hexdigest() for name in names]
        return sha256(json.dumps([node, parts, files], sort_keys=True).encode()).hexdigest()

    def _location(self) -> dict[str, Any]:
        node = self._job.node or self._order[-1]
        kind = self._graph[node]["class_type"]
        return {"node_id": node, "node_type": kind, "executed": list(self._executed)}

    def _error_details(self, error: NodeFailed) -> dict[str, Any]:
        inputs = self._graph[self._job.node or self._order[-1]].get("inputs", {})
        return {
            "exception_message": f"{error}\n",
            "exception_type": error.kind,
            "traceback": [f"{error.kind}: {error}\n"],
            "current_inputs": {name: [str(value)] for name, value in inputs.items()},
            "current_outputs": list(self._order),
        }

    def _record(self, kind: str, data: dict[str, Any], *, to_all: bool = False) -> None:
        full = {"prompt_id": self._job.id, **data, "timestamp": now_ms()}
        self._job.messages.append([kind, full])
        self._emit(kind, full, to_all=to_all)

    def _set_progress(self, node: str, state: str, value: float, most: float) -> None:
        self._progress[node] = {
            "value": value,
            "max": most,
            "state": state,
            "node_id": node,
            "prompt_id": self._job.id,
            "display_node_id": node,
            "parent_node_id": None,
            "real_node_id": node,
        }
        if self._server.sockets.listening(self._job.client_id):
            self._emit("progress_state", {"nodes": dict(self._progress)}, to_all=True)

    def _emit_output(self, node: str, output: dict[str, Any]) -> None:
        self._job.outputs[node] = output
        self._emit("executed", {"node": node, "display_node": node, "output": output})

    def _emit(self, kind: str, data: dict[str, Any], *, to_all: bool = False) -> None:
        """Send an event to the job's client; without a client, to no client or, with `to_all`, to all."""
        full = {"prompt_id": self._job.id, **data}
        if self._job.client_id is not None:
            self._server.sockets.send(kind, full, self._job.client_id)
        elif to_all:
            self._server.sockets.send_all(kind, full)


def _order(job: ComfyJob) -> Iterator[str]:
    """Yield nodes after the nodes that they depend on; of several ready nodes, outputs come first."""
    needed = [node for target in job.targets for node in ancestors(job.graph, target)]
    left = sorted(set(needed), key=list(job.graph).index)
    done: set[str] = set()
    while left:
        ready = [node for node in left if _sources(job, node) <= done]
        outputs = (node for node in ready if node in job.targets)
        node = next(outputs, ready[0])
        left.remove(node)
        done.add(node)
        yield node


def _sources(job: ComfyJob, node: str) -> set[str]:
    inputs = job.graph[node].get("inputs", {})
    return {source for value in inputs.values() if (source := linked(value)) is not None}
