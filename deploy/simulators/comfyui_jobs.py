"""One accepted prompt, and its views in ComfyUI's API: queue, history and /api/jobs."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from deploy.simulators.behaviour import Outcome
from deploy.simulators.comfyui_validation import Graph
from deploy.simulators.submission_log import Submission

STATUSES: Final = ("pending", "in_progress", "completed", "failed", "cancelled")
ENDINGS: Final = ("execution_success", "execution_error", "execution_interrupted")


def now_ms() -> int:
    return int(time.time() * 1000)


@dataclass(eq=False)
class ComfyJob:
    number: float
    id: str
    graph: Graph
    extra: dict[str, Any]
    targets: tuple[str, ...]
    outcome: Outcome
    submission: Submission
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    running: bool = False
    finished: bool = False
    node: str | None = None
    """The node that runs now, repeated to a client that reconnects."""
    messages: list[list[Any]] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def client_id(self) -> str | None:
        client_id = self.extra.get("client_id")
        return str(client_id) if client_id is not None else None

    def queue_item(self) -> list[Any]:
        return [self.number, self.id, self.graph, self.extra, list(self.targets)]

    def history_entry(self) -> dict[str, Any]:
        return {
            "prompt": self.queue_item(),
            "outputs": self.outputs,
            "status": self._execution_status(),
            "meta": {node: _meta(node) for node in self.outputs},
        }

    def summary(self) -> dict[str, Any]:
        """Return the entry of `GET /api/jobs`."""
        view = self._head()
        if not self.finished:
            return view | {"outputs_count": 0} | self._workflow_id()
        ending, data = self.messages[-1]
        view["execution_start_time"] = self.messages[0][1]["timestamp"]
        view["execution_end_time"] = data["timestamp"]
        if ending == "execution_error":
            view["execution_error"] = data
        images = [
            {**image, "nodeId": node, "mediaType": "images"}
            for node, output in self.outputs.items()
            for image in output.get("images", ())
        ]
        view["outputs_count"] = len(images)
        if images:
            view["preview_output"] = images[0]
        return view | self._workflow_id()

    def detail(self) -> dict[str, Any]:
        """Return the body of `GET /api/jobs/{id}`."""
        if not self.finished:
            return self.summary()
        return self.summary() | {
            "outputs": self.outputs,
            "execution_status": self._execution_status(),
            "workflow": {"prompt": self.graph, "extra_data": self.extra},
        }

    @property
    def status(self) -> str:
        if not self.finished:
            return "in_progress" if self.running else "pending"
        words = ("completed", "failed", "cancelled")
        return words[ENDINGS.index(self.messages[-1][0])]

    @property
    def workflow_id(self) -> str | None:
        workflow = self.extra.get("extra_pnginfo", {}).get("workflow", {})
        return workflow.get("id") if isinstance(workflow, dict) else None

    def _head(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "status": self.status,
            "priority": self.number,
            "create_time": self.extra["create_time"],
        }

    def _workflow_id(self) -> dict[str, Any]:
        return {"workflow_id": self.workflow_id} if self.workflow_id is not None else {}

    def _execution_status(self) -> dict[str, Any]:
        good = self.messages[-1][0] == "execution_success"
        word = "success" if good else "error"
        return {"status_str": word, "completed": good, "messages": self.messages}


class BadFilter(ValueError):
    """An invalid query parameter of /api/jobs."""


def list_jobs(jobs: Iterable[ComfyJob], query: Mapping[str, str]) -> dict[str, Any]:
    statuses = [word for word in query.get("status", "").split(",") if word]
    invalid = [word for word in statuses if word not in STATUSES]
    if invalid:
        valid = ", ".join(STATUSES)
        raise BadFilter(f"Invalid status value(s): {', '.join(invalid)}. Valid values: {valid}")
    workflow = query.get("workflow_id")
    found = [
        job
        for job in jobs
        if (not statuses or job.status in statuses) and workflow in (None, job.workflow_id)
    ]
    found.sort(key=_sort_key(query), reverse=query.get("sort_order", "desc") != "asc")
    offset = int(query.get("offset", "0"))
    limit = int(query["limit"]) if "limit" in query else None
    page = found[offset:] if limit is None else found[offset : offset + limit]
    pagination = {
        "offset": offset,
        "limit": limit,
        "total": len(found),
        "has_more": offset + len(page) < len(found),
    }
    return {"jobs": [job.summary() for job in page], "pagination": pagination}


def _sort_key(query: Mapping[str, str]) -> Any:
    def created(job: ComfyJob) -> int:
        return int(job.extra["create_time"])

    def duration(job: ComfyJob) -> int:
        if not job.finished:
            return 0
        return int(job.messages[-1][1]["timestamp"]) - int(job.messages[0][1]["timestamp"])

    return duration if query.get("sort_by") == "execution_duration" else created


def _meta(node: str) -> dict[str, Any]:
    return {"node_id": node, "display_node": node, "parent_node": None, "real_node_id": node}
