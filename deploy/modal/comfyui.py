"""Run ComfyUI graphs over HTTP on the server in the same container, and return their files."""

import subprocess
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from contracts.workflows import File, result_of
from deploy.modal.failures import CallFailed

URL: Final = "http://127.0.0.1:8188"
POLL_INTERVAL: Final = 0.5
MODEL_FOLDERS: Final = (
    "checkpoints",
    "clip",
    "clip_vision",
    "controlnet",
    "diffusion_models",
    "loras",
    "vae",
)


class WorkflowRefused(CallFailed):
    """ComfyUI rejected the graph or a part of it."""


class WorkflowFailed(CallFailed):
    """A node failed."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class ServerDown(CallFailed):
    """ComfyUI does not answer, or lost the graph in a restart."""

    retryable = True


@dataclass(frozen=True, slots=True)
class SavedFile:
    """One output file of a graph, with its bytes as ComfyUI wrote them."""

    name: str
    data: bytes


class ComfyServer:
    """Client of the ComfyUI server. It runs one graph at a time, as its container does."""

    def __init__(
        self,
        http: httpx.Client,
        *,
        poll_interval: float = POLL_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._poll_interval = poll_interval
        self._clock = clock

    def run(self, graph: dict[str, Any]) -> list[SavedFile]:
        """Run a graph and return its images.

        Raises:
            WorkflowRefused: ComfyUI rejected the graph.
            WorkflowFailed: a node failed.
            ServerDown: the server does not answer or lost the graph.
        """
        prompt_id = str(uuid.uuid4())
        try:
            self._submit(graph, prompt_id)
            entry = self._wait(prompt_id)
            return [self._read(image) for image in files_of(graph, entry)]
        except httpx.HTTPError as error:
            raise ServerDown(f"ComfyUI: {type(error).__name__}: {error}") from error
        except BaseException:
            self._stop(prompt_id)
            raise

    def wait_until_up(self, seconds: float) -> None:
        deadline = self._clock() + seconds
        while self._clock() < deadline:
            try:
                if self._http.get("/system_stats").status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(self._poll_interval)
        raise ServerDown(f"ComfyUI did not answer within {seconds:.0f} s")

    def _submit(self, graph: dict[str, Any], prompt_id: str) -> None:
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": prompt_id}
        answer = self._http.post("/prompt", json=body)
        if answer.status_code != httpx.codes.OK:
            raise WorkflowRefused(_reason(answer))
        if node_errors := answer.json().get("node_errors"):
            raise WorkflowRefused(f"nodes would be left out: {_of_nodes(node_errors)}")

    def _wait(self, prompt_id: str) -> dict[str, Any]:
        """Wait for the history entry. Reading the queue first is safe: a graph moves from queue to history
        only."""
        while True:
            queue = self._http.get("/queue").raise_for_status().json()
            waiting = {entry[1] for key in ("queue_running", "queue_pending") for entry in queue[key]}
            if prompt_id not in waiting:
                history = self._http.get(f"/history/{prompt_id}").raise_for_status().json()
                if prompt_id not in history:
                    raise ServerDown("ComfyUI lost the graph")
                entry: dict[str, Any] = history[prompt_id]
                return entry
            time.sleep(self._poll_interval)

    def _read(self, image: File) -> SavedFile:
        query = {key: image[key] for key in ("filename", "subfolder", "type")}
        return SavedFile(image["filename"], self._http.get("/view", params=query).raise_for_status().content)

    def _stop(self, prompt_id: str) -> None:
        try:
            self._http.post("/queue", json={"delete": [prompt_id]})
            self._http.post("/interrupt", json={"prompt_id": prompt_id})
        except httpx.HTTPError:
            pass


def files_of(graph: dict[str, Any], entry: dict[str, Any]) -> list[File]:
    """Return the images that a finished graph saved, its result first. Raise `WorkflowFailed` on failure."""
    if entry["status"]["status_str"] != "success":
        raise _failure(entry["status"]["messages"])
    result = result_of(graph, entry["outputs"])
    if result is None:
        raise WorkflowFailed("the graph ran and saved nothing")
    return [result.file, *result.dropped]


def _failure(messages: list[tuple[str, dict[str, Any]]]) -> WorkflowFailed:
    for event, data in messages:
        if event == "execution_error":
            kind = str(data.get("exception_type", "error"))
            first = str(data.get("exception_message", "")).strip().split("\n", 1)[0]
            message = f"{data.get('node_type')} (node {data.get('node_id')}): {kind}: {first}"
            return WorkflowFailed(message, retryable="OutOfMemory" in kind)
    return WorkflowFailed("the graph was interrupted", retryable=True)


def _reason(answer: httpx.Response) -> str:
    try:
        body = answer.json()
        return f"{body['error']['message']} {_of_nodes(body.get('node_errors') or {})}".strip()
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"


def _of_nodes(node_errors: dict[str, Any]) -> str:
    return "; ".join(
        f"{node.get('class_type')} (node {name}): {error.get('message')} {error.get('details')}".strip()
        for name, node in node_errors.items()
        for error in node.get("errors", ())
    )[:800]


def start_server(home: Path, models: Path) -> "subprocess.Popen[bytes]":
    """Start the server without metadata: a saved PNG would otherwise contain the whole graph."""
    where = Path("/tmp/extra_model_paths.yaml")
    where.write_text(model_paths(models))
    options = ["--listen", "127.0.0.1", "--port", "8188", "--disable-metadata"]
    return subprocess.Popen(
        ["python", "main.py", *options, "--extra-model-paths-config", str(where)], cwd=home
    )


def model_paths(models: Path) -> str:
    lines = [f"  {folder}: {folder}/" for folder in MODEL_FOLDERS]
    return "\n".join(["volume:", f"  base_path: {models}", *lines]) + "\n"
