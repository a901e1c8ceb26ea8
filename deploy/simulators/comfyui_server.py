"""State of a ComfyUI process: its queue, history, cache, sockets and files."""

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from deploy.simulators.behaviour import Behaviour, FaultInjector
from deploy.simulators.comfyui_disk import Disk
from deploy.simulators.comfyui_execution import Execution
from deploy.simulators.comfyui_jobs import ComfyJob, now_ms
from deploy.simulators.comfyui_models import Models
from deploy.simulators.comfyui_picture import positive_prompt
from deploy.simulators.comfyui_sockets import Sockets
from deploy.simulators.comfyui_validation import Problem, ValidationResult, problem, validate
from deploy.simulators.job_queue import JobQueue
from deploy.simulators.submission_log import SubmissionLog

SECRETS: Final = ("auth_token_comfy_org", "api_key_comfy_org")
MAX_HISTORY: Final = 10_000


class Rejected(Exception):
    """Status 400 with ComfyUI's error body."""

    def __init__(self, error: Problem, node_errors: dict[str, Any] | None = None) -> None:
        super().__init__(error["message"])
        self.body = {"error": error, "node_errors": node_errors or {}}


class ComfyServer:
    def __init__(self, behaviour: Behaviour, lora_dir: Path | None = None) -> None:
        self.injector = FaultInjector(behaviour)
        self.submission_log = SubmissionLog()
        self.sockets = Sockets()
        self.disk = Disk()
        self.models = Models(lora_dir)
        self.job_queue: JobQueue[ComfyJob] = JobQueue(self._run, lambda: self.injector.behaviour.concurrency)
        self.history: dict[str, ComfyJob] = {}
        self.cache: dict[str, Any] = {}
        """Results of the last prompt's nodes by cache key; None for nodes without output."""
        self._number = 0
        self.started = time.monotonic()

    def submit(self, body: Any, fault: str | None) -> tuple[ComfyJob, ValidationResult]:
        number = self._next_number(body)
        if not isinstance(body, dict) or "prompt" not in body:
            text = "No prompt provided"
            raise Rejected(problem("no_prompt", text, text))
        prompt_id = _prompt_id(body.get("prompt_id"))
        graph = body["prompt"]
        validation = validate(graph, self.disk.has, self.models, body.get("partial_execution_targets"))
        if validation.error is not None:
            raise Rejected(validation.error, validation.node_errors)
        text = positive_prompt(graph, validation.outputs[0])
        job = ComfyJob(
            number=number,
            id=prompt_id,
            graph=graph,
            extra=_extra(body),
            targets=validation.outputs,
            outcome=self.injector.outcome(text, fault),
            submission=self.submission_log.enter(prompt_id, body.get("prompt_id"), text, graph),
        )
        self.job_queue.put(job, number)
        self.send_status()
        return job, validation

    @property
    def running(self) -> list[ComfyJob]:
        return [job for job in self.job_queue.running if not job.finished]

    def remaining(self) -> int:
        return len(self.job_queue) + len(self.running)

    def status(self) -> dict[str, Any]:
        return {"status": {"exec_info": {"queue_remaining": self.remaining()}}}

    def send_status(self) -> None:
        self.sockets.send_all("status", self.status())

    def find(self, job_id: str) -> ComfyJob | None:
        for job in (*self.running, *self.job_queue.waiting):
            if job.id == job_id:
                return job
        return self.history.get(job_id)

    def all_jobs(self) -> list[ComfyJob]:
        return [*self.history.values(), *self.running, *self.job_queue.waiting]

    def delete_waiting(self, job_id: str) -> bool:
        """Remove one queued job; of two jobs with the same id, the first."""
        job = self.job_queue.remove(lambda waiting: waiting.id == job_id)
        if job is None:
            return False
        job.submission.state = "cancelled"
        self.send_status()
        return True

    def clear_waiting(self) -> None:
        for job in self.job_queue.clear():
            job.submission.state = "cancelled"
        self.send_status()

    def interrupt(self, matches: Callable[[ComfyJob], bool]) -> bool:
        jobs = [job for job in self.running if matches(job)]
        for job in jobs:
            job.stop.set()
        return bool(jobs)

    def cancel(self, job_id: str) -> bool:
        return self.delete_waiting(job_id) or self.interrupt(lambda job: job.id == job_id)

    def current_node(self, client_id: str) -> str | None:
        return next((job.node for job in self.running if job.client_id == client_id), None)

    def forget(self) -> None:
        """Restart the server: files and their counters stay, all other state is lost."""
        self.job_queue.forget()
        self.sockets.drop_all()
        self.history.clear()
        self.cache.clear()
        self.disk.clear_temp()
        self._number = 0

    async def _run(self, job: ComfyJob) -> None:
        job.running = True
        job.submission.state = "running"
        self.send_status()
        await Execution(job, self).run()
        job.finished = True
        words = {"completed": "succeeded", "failed": "failed", "cancelled": "cancelled"}
        job.submission.state = words[job.status]  # type: ignore[assignment]
        self.history[job.id] = job
        if len(self.history) > MAX_HISTORY:
            self.history.pop(next(iter(self.history)))
        self.send_status()
        if job.client_id is not None:
            done = {"node": None, "prompt_id": job.id}
            self.sockets.send("executing", done, job.client_id)

    def _next_number(self, body: Any) -> float:
        """Return the queue number of a prompt. An explicit number does not advance the counter."""
        if isinstance(body, dict) and "number" in body:
            return float(body["number"])
        number = self._number
        self._number += 1
        return -number if isinstance(body, dict) and body.get("front") else number


def _prompt_id(given: Any) -> str:
    if given is None:
        return str(uuid.uuid4())
    try:
        if str(uuid.UUID(given)) == given:
            return str(given)
    except (ValueError, AttributeError, TypeError):
        pass
    details = (
        "prompt_id must be a UUID string in canonical lowercase hyphenated form; "
        "omit it to let the server generate one"
    )
    raise Rejected(problem("invalid_prompt_id", "prompt_id must be a valid UUID", details))


def _extra(body: dict[str, Any]) -> dict[str, Any]:
    extra = {key: value for key, value in body.get("extra_data", {}).items() if key not in SECRETS}
    if "client_id" in body:
        extra["client_id"] = body["client_id"]
    return extra | {"create_time": now_ms()}
