"""Queue of accepted requests and their outcomes, behind fal's HTTP routes."""

import asyncio
import time
import uuid
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
from pydantic import ValidationError

from deploy.simulators.behaviour import Behaviour, FaultInjector
from deploy.simulators.drawing import UnreadableImage
from deploy.simulators.fal_jobs import (
    CANCELLED,
    TIMED_OUT,
    Answer,
    FalJob,
    model_error,
    platform_error,
)
from deploy.simulators.fal_models import (
    Model,
    ModelContext,
    draw_identity,
    draw_images,
    swap_face,
)
from deploy.simulators.fal_training import BadArchive, train_lora
from deploy.simulators.fal_webhooks import Webhooks, WebhookSigner
from deploy.simulators.fetching import Unreachable
from deploy.simulators.files import FileStore
from deploy.simulators.job_queue import JobQueue
from deploy.simulators.submission_log import SubmissionLog
from shared.http.certificates import certificates

MODELS: Final[dict[str, Model]] = {
    "fal-ai/flux/dev": draw_images,
    "fal-ai/flux/schnell": draw_images,
    "fal-ai/flux-pro": draw_images,
    "fal-ai/flux-pro/v1.1": draw_images,
    "fal-ai/flux-lora": draw_images,
    "fal-ai/fast-sdxl": draw_images,
    "fal-ai/recraft/v3/text-to-image": draw_images,
    "fal-ai/flux-pulid": draw_identity,
    "fal-ai/face-swap": swap_face,
    "fal-ai/flux-lora-fast-training": train_lora,
    "fal-ai/flux-lora-portrait-trainer": train_lora,
}
APPS: Final = frozenset("/".join(endpoint.split("/")[:2]) for endpoint in MODELS)


def unknown_endpoint_error(endpoint: str) -> str | None:
    """Return fal's error for an unknown endpoint, or None for a known one."""
    if endpoint in MODELS:
        return None
    owner, _, rest = endpoint.partition("/")
    alias, _, path = rest.partition("/")
    if f"{owner}/{alias}" in APPS:
        return f"Path /{path} not found"
    return f"Application '{alias or owner}' not found"


class FalQueue:
    def __init__(self, behaviour: Behaviour, webhook_key_seed: str | None = None) -> None:
        self.injector = FaultInjector(behaviour)
        self.submission_log = SubmissionLog()
        self.signer = WebhookSigner(webhook_key_seed)
        self.outputs = FileStore()
        self.uploads = FileStore(space=None)
        self.job_queue: JobQueue[FalJob] = JobQueue(self._run, lambda: self.injector.behaviour.concurrency)
        self._client = httpx.AsyncClient(verify=certificates(), trust_env=False, timeout=15)
        self.webhooks = Webhooks(self.signer, self.injector, self._client)
        self._jobs: dict[str, FalJob] = {}

    def submit(
        self,
        endpoint: str,
        base: str,
        arguments: dict[str, Any],
        *,
        webhook: str | None,
        attempt: str | None,
        start_within: float | None,
        fault: str | None,
    ) -> FalJob:
        request_id, prompt = str(uuid.uuid4()), str(arguments.get("prompt", ""))
        idempotency_key = attempt or _attempt_id(webhook)
        job = FalJob(
            id=request_id,
            endpoint=endpoint,
            base=base,
            arguments=arguments,
            outcome=self.injector.outcome(prompt, fault),
            submission=self.submission_log.enter(request_id, idempotency_key, prompt, arguments),
            webhook=webhook,
            start_within=start_within,
        )
        self._jobs[request_id] = job
        job.arrival = self.job_queue.put(job)
        return job

    def find(self, app: str, request_id: str) -> FalJob | None:
        """Return a request by its id and either the endpoint's full path or its owner/alias."""
        job = self._jobs.get(request_id)
        return job if job is not None and app in (job.app, job.endpoint) else None

    def status(self, job: FalJob, *, with_logs: bool) -> dict[str, Any]:
        return job.status(position=self.job_queue.position(job.arrival), with_logs=with_logs)

    def cancel(self, job: FalJob) -> bool:
        """Cancel a request. A queued one is removed; a running one ends, unless it ignores this."""
        if job.answer is not None:
            return False
        if self.job_queue.remove(lambda waiting: waiting is job):
            job.submission.state = "cancelled"
            del self._jobs[job.id]
        elif not self.injector.behaviour.cancel_is_ignored:
            self.job_queue.stop(job)
            job.state, job.answer = "COMPLETED", CANCELLED
            job.submission.state = "cancelled"
        return True

    def forget(self) -> None:
        self.job_queue.forget()
        self.webhooks.stop()
        self._jobs.clear()

    async def close(self) -> None:
        self.job_queue.forget()
        self.webhooks.stop()
        await self._client.aclose()

    async def _run(self, job: FalJob) -> None:
        waited = time.monotonic() - job.submitted
        job.state = "IN_PROGRESS"
        job.submission.state = "running"
        job.log("Request picked up by a runner")
        if job.start_within is not None and waited > job.start_within:
            job.answer = TIMED_OUT
        else:
            job.answer = await self._outcome(job)
        job.seconds = time.monotonic() - job.submitted - waited
        job.log("Finished")
        job.state = "COMPLETED"
        job.submission.state = "failed" if job.answer.is_error else "succeeded"
        self.webhooks.schedule(job)

    async def _outcome(self, job: FalJob) -> Answer:
        outcome = job.outcome
        context = ModelContext(self.outputs, self._client, job.base, self.injector.behaviour.tiny, job.log)
        model = MODELS[job.endpoint]
        if outcome.end != "ok":
            await asyncio.sleep(outcome.seconds)
            if outcome.end == "oom":
                message = "CUDA out of memory. Tried to allocate 2.25 GiB"
                return platform_error(500, "runner_server_error", message, retryable=True)
            return model_error("no_media_generated", "The model generated no media", "prompt")
        try:
            _, body = await asyncio.gather(
                asyncio.sleep(outcome.seconds), model(job.arguments, outcome, context)
            )
        except ValidationError as error:
            return _invalid_input(error)
        except Unreachable as error:
            return model_error("file_download_error", str(error), given=error.url[:200])
        except UnreadableImage as error:
            return model_error("image_load_error", str(error))
        except BadArchive as error:
            return model_error(error.kind, str(error), "images_data_url")
        return Answer(200, body)


def _invalid_input(error: ValidationError) -> Answer:
    details = [
        {**item, "loc": ["body", *item["loc"]]}
        for item in error.errors(include_url=False, include_context=False)
    ]
    headers = {"X-Fal-Error-Type": str(details[0]["type"]), "X-Fal-Retryable": "false"}
    return Answer(422, {"detail": details}, headers)


def _attempt_id(webhook: str | None) -> str | None:
    return parse_qs(urlsplit(webhook or "").query).get("attempt", [None])[0]
