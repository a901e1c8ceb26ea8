"""Meaning of a ComfyUI server's answers: untrusted input; malformed parts are ignored or rejected."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from contracts.renders import Output
from contracts.workflows import File, Graph, result_of
from services.gateways.kit.provider import AttemptStatus, Completed, Failed, InProgress, StatusUnavailable
from services.gateways.kit.wire import excerpt, json_of


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run, as in the history and in `/api/jobs`."""

    status: dict[str, Any]
    outputs: dict[str, Any]
    """By node; in each a list `images` of files, among other things."""


def queue_in(body: dict[str, Any]) -> dict[str, InProgress]:
    """Return running and waiting prompts by id. Of a repeated id, the entry nearest to its end counts.

    Raises:
        StatusUnavailable: the answer is no queue.
    """
    found: dict[str, InProgress] = {}
    try:
        for item in body["queue_running"]:
            found[str(item[1])] = InProgress("running")
        pending = sorted(body["queue_pending"], key=lambda item: float(item[0]))
        for position, item in enumerate(pending):
            found.setdefault(str(item[1]), InProgress("queued", queue_position=position))
    except (LookupError, TypeError, ValueError) as odd:
        raise StatusUnavailable(f"no queue in {str(body)[:200]}") from odd
    return found


def unfinished_in(jobs: list[Any]) -> dict[str, InProgress]:
    """Return running and waiting prompts by `GET /api/jobs`. Malformed entries are ignored."""
    found: dict[str, InProgress] = {}
    pending: list[tuple[float, str]] = []
    for job in jobs:
        match job:
            case {"id": str(prompt_id), "status": "in_progress"}:
                found[prompt_id] = InProgress("running")
            case {"id": str(prompt_id), "status": "pending", "priority": int() | float() as priority}:
                pending.append((priority, prompt_id))
    for position, (_, prompt_id) in enumerate(sorted(pending, key=lambda each: each[0])):
        found.setdefault(prompt_id, InProgress("queued", queue_position=position))
    return found


def run_in(history: dict[str, Any], prompt_id: str) -> Run | None:
    """Return the run of a prompt, or None if the history has none.

    Raises:
        StatusUnavailable: the entry is malformed.
    """
    if prompt_id not in history:
        return None
    entry = history[prompt_id]
    return _run(entry.get("status"), entry.get("outputs")) if isinstance(entry, dict) else _run(None, None)


def job_in(job: dict[str, Any], prompt_id: str) -> InProgress | Run:
    """Return the state of a prompt by `GET /api/jobs/{id}`, which has no queue positions.

    Raises:
        StatusUnavailable: the answer is no job, or another job.
    """
    if job.get("id") != prompt_id:
        raise StatusUnavailable(f"job of {str(job.get('id'))[:100]!r} instead of {prompt_id}")
    match job.get("status"):
        case "pending":
            return InProgress("queued")
        case "in_progress":
            return InProgress("running")
    return _run(job.get("execution_status"), job.get("outputs"))


def _run(status: object, outputs: object) -> Run:
    if not isinstance(status, dict):
        raise StatusUnavailable(f"the run has no status but {str(status)[:200]}")
    return Run(status, outputs if isinstance(outputs, dict) else {})


def end_of(run: Run, graph: Graph) -> AttemptStatus:
    """Return the status of a finished run. A failed run may have outputs of branches that ended well."""
    status = run.status
    if status.get("status_str") == "success":
        result = result_of(graph, run.outputs)
        if result is None:
            return Failed("no_output", "the workflow saved no image", False, "yes")
        return Completed((_output(result.file),), dropped=tuple(map(_output, result.dropped)))
    messages = {str(pair[0]): pair[1] for pair in _items(status.get("messages")) if _is_pair(pair)}
    if "execution_interrupted" in messages:
        return Failed("cancelled", "interrupted at the server", retryable=False, billed="yes")
    error = messages.get("execution_error", {})
    kind = str(error.get("exception_type", "unknown error"))[:100]
    first_line = str(error.get("exception_message", "")).partition("\n")[0][:300]
    message = f"{str(error.get('node_type', 'a node'))[:100]}: {kind}: {first_line}"
    return Failed("provider_error", message, retryable="OutOfMemory" in kind, billed="yes")


def rejection_reason_in(answer: httpx.Response) -> str:
    """Return the reason of a rejection: the first node with a problem, else the server's own text."""
    try:
        body = json_of(answer)
    except StatusUnavailable:
        return excerpt(answer)
    if problem := node_problem_in(body.get("node_errors")):
        return problem
    error = body.get("error")
    return _words(error) if isinstance(error, dict) else excerpt(answer)


def node_problem_in(node_errors: Any) -> str | None:
    """Return the first problem of a node, with the node's id and class."""
    for node, problem in node_errors.items() if isinstance(node_errors, dict) else ():
        for error in _items(problem.get("errors")) if isinstance(problem, dict) else ():
            if isinstance(error, dict):
                return f"node {node[:50]} ({str(problem.get('class_type'))[:100]}): {_words(error)}"
    return None


def _words(error: dict[str, Any]) -> str:
    """Return message and details on one line; details that repeat the message are left out."""
    parts = [" ".join(str(error.get(name) or "").split())[:300] for name in ("message", "details")]
    return ": ".join(dict.fromkeys(part for part in parts if part)) or "no reason given"


def is_from_cache(run: Run, graph: Graph) -> bool:
    """Return whether the server remembered the name of the result's file instead of running its node."""
    result = result_of(graph, run.outputs)
    cached = [
        node
        for kind, data in filter(_is_pair, _items(run.status.get("messages")))
        if kind == "execution_cached"
        for node in _items(data.get("nodes"))
    ]
    return result is not None and result.node in cached


def _output(file: File) -> Output:
    return Output(path=f"/view?{urlencode(file)}")


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[1], dict)
