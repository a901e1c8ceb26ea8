"""Runs one prompt node by node and tells its client, in the order in which the real server does."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from posixpath import normpath
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from deploy.simulators import drawing
from deploy.simulators.comfyui_disk import escapes
from deploy.simulators.comfyui_jobs import ComfyJob, now_ms
from deploy.simulators.comfyui_nodes import node_classes
from deploy.simulators.comfyui_picture import READERS, ancestors, batch_of, linked, read_picture
from deploy.simulators.renderer import make

if TYPE_CHECKING:
    from deploy.simulators.comfyui_server import ComfyServer

SAMPLERS: Final = ("KSampler", "KSamplerAdvanced", "SamplerCustomAdvanced")
MOST_STEPS: Final = 20
OUTSIDE: Final = "**** ERROR: Saving image outside the output folder is not allowed."
OUT_OF_MEMORY: Final = (
    "Allocation on device 0 would exceed allowed memory. (out of memory)\n"
    "This error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked before "
    "you might have accidentally set the batch_size to a large number."
)


class Interrupted(Exception):
    """Somebody stopped the job between two steps."""


class NodeFailed(Exception):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Execution:
    def __init__(self, job: ComfyJob, server: "ComfyServer") -> None:
        self._job = job
        self._server = server
        self._graph = job.graph
        self._order = list(_order(job))
        self._signatures = {node: self._signature(node) for node in self._order}
        self._progress: dict[str, dict[str, Any]] = {}
        self._kept: dict[str, dict[str, Any] | None] = {}
        self._executed: list[str] = []
        self._heavy = self._heavy_node()

    async def run(self) -> None:
        """Leaves the ending as the job's last message."""
        self._note("execution_start", {})
        cache = self._server.cache
        self._kept = {node: cache[mark] for node, mark in self._signatures.items() if mark in cache}
        self._note("execution_cached", {"nodes": list(self._kept)})
        self._server.cache = {self._signatures[node]: it for node, it in self._kept.items()}
        try:
            for node in self._order:
                if node in self._kept:
                    self._repeat(node)
                else:
                    await self._run_node(node)
        except Interrupted:
            self._note("execution_interrupted", self._where(), to_all=True)
        except NodeFailed as error:
            self._note("execution_error", self._where() | self._trouble(error))
        else:
            self._note("execution_success", {})

    def _repeat(self, node: str) -> None:
        output = self._kept[node]
        if output is not None:
            self._tell_output(node, output)
            self._show(node, "finished", 1, 1)

    async def _run_node(self, node: str) -> None:
        self._job.node = node
        self._show(node, "running", 0.0, 1.0)
        self._tell("executing", {"node": node, "display_node": node})
        if self._job.stop.is_set():
            raise Interrupted
        output = await self._work(node)
        if output is not None:
            self._tell_output(node, output)
        self._server.cache[self._signatures[node]] = output
        self._executed.append(node)
        value = self._progress[node]["max"]
        self._show(node, "finished", value, value)

    async def _work(self, node: str) -> dict[str, Any] | None:
        name, inputs = self._graph[node]["class_type"], self._graph[node].get("inputs", {})
        if name == "LabSlow":
            await self._steps(node, inputs["steps"], inputs["delay_ms"] / 1000)
        elif name == "LabFail":
            raise NodeFailed("RuntimeError", inputs["message"])
        elif name in READERS:
            await self._check_readable(inputs["image"])
        if node == self._heavy:
            await self._spend_latency(node, inputs)
        return await self._save(node) if node_classes()[name].is_output else None

    async def _spend_latency(self, node: str, inputs: dict[str, Any]) -> None:
        outcome = self._job.outcome
        steps = 1
        if self._server.sockets.listening(self._job.client_id) and outcome.seconds:
            steps = max(1, min(MOST_STEPS, inputs.get("steps", MOST_STEPS)))
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
                self._show(node, "running", step, count)
                self._tell("progress", {"value": step, "max": count, "node": node}, to_all=True)
                self._preview(node)

    def _preview(self, node: str) -> None:
        """Between the steps of a sampler the half-done picture is sent."""
        if self._graph[node]["class_type"] in SAMPLERS:
            keys = ("node_id", "prompt_id", "display_node_id", "parent_node_id", "real_node_id")
            about = {key: self._progress[node][key] for key in keys}
            self._server.sockets.send_preview(drawing.tiny("jpeg"), about, self._job.client_id)

    async def _check_readable(self, name: str) -> None:
        if self._server.director.behaviour.tiny:
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
        tiny, outcome = self._server.director.behaviour.tiny, self._job.outcome
        batch = batch_of(self._graph, node)
        picture = read_picture(self._graph, node, (lambda _: b"") if tiny else self._server.disk.load)
        if tiny:
            return [drawing.tiny("png", picture.sketch.width, picture.sketch.height)] * batch
        text = self._metadata()
        sketch = picture.sketch
        if picture.flat_colour is not None:
            colour = f"#{picture.flat_colour:06x}"
            flat = Image.new("RGB", (sketch.width, sketch.height), colour)
            return [drawing.encode(flat, "png", text)] * batch
        sketches = [replace(sketch, seed=sketch.seed + index) for index in range(batch)]
        return [await make(one, outcome, tiny=False, text=text) for one in sketches]

    def _metadata(self) -> dict[str, str]:
        extra = self._job.extra.get("extra_pnginfo", {})
        return {"prompt": json.dumps(self._graph)} | {key: json.dumps(value) for key, value in extra.items()}

    def _heavy_node(self) -> str | None:
        """Where the latency is spent: the sampler, or the first output of a graph without one."""
        kinds = {node: self._graph[node]["class_type"] for node in self._order}
        samplers = (node for node, kind in kinds.items() if kind in SAMPLERS)
        outputs = (node for node, kind in kinds.items() if node_classes()[kind].is_output)
        return next(samplers, None) or next(outputs, None)

    def _signature(self, node: str) -> str:
        """The same for nodes whose own inputs and all that feeds them are the same."""
        parts = [self._graph[one] for one in ancestors(self._graph, node)]
        names = [part["inputs"]["image"] for part in parts if part["class_type"] in READERS]
        files = [sha256(self._server.disk.load(name)).hexdigest() for name in names]
        return sha256(json.dumps([node, parts, files], sort_keys=True).encode()).hexdigest()

    def _where(self) -> dict[str, Any]:
        node = self._job.node or self._order[-1]
        kind = self._graph[node]["class_type"]
        return {"node_id": node, "node_type": kind, "executed": list(self._executed)}

    def _trouble(self, error: NodeFailed) -> dict[str, Any]:
        inputs = self._graph[self._job.node or self._order[-1]].get("inputs", {})
        return {
            "exception_message": f"{error}\n",
            "exception_type": error.kind,
            "traceback": [f"{error.kind}: {error}\n"],
            "current_inputs": {name: [str(value)] for name, value in inputs.items()},
            "current_outputs": list(self._order),
        }

    def _note(self, kind: str, data: dict[str, Any], *, to_all: bool = False) -> None:
        full = {"prompt_id": self._job.id, **data, "timestamp": now_ms()}
        self._job.messages.append([kind, full])
        self._tell(kind, full, to_all=to_all)

    def _show(self, node: str, state: str, value: float, most: float) -> None:
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
            self._tell("progress_state", {"nodes": dict(self._progress)}, to_all=True)

    def _tell_output(self, node: str, output: dict[str, Any]) -> None:
        self._job.outputs[node] = output
        self._tell("executed", {"node": node, "display_node": node, "output": output})

    def _tell(self, kind: str, data: dict[str, Any], *, to_all: bool = False) -> None:
        """A job without a client is heard by nobody, or in some events by everybody."""
        full = {"prompt_id": self._job.id, **data}
        if self._job.client_id is not None:
            self._server.sockets.send(kind, full, self._job.client_id)
        elif to_all:
            self._server.sockets.send_all(kind, full)


def _order(job: ComfyJob) -> Iterator[str]:
    """Inputs before the nodes that use them; of those that could run, outputs first."""
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
