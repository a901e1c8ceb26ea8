"""Adapter of Fal's queue API. Fal takes no id from us and has no lookup; COMPLETED may be a failure."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx

from contracts.base import Provider as ProviderName
from contracts.renders import Output
from services.gateways.fal.errors import STILL_RUNNING, failure_in, failure_of
from services.gateways.fal.settings import FalSettings
from services.gateways.fal.storage import FalStorage
from services.gateways.fal.training import Training, percent_in
from services.gateways.kit.dialects import Dialect, dialect_of
from services.gateways.kit.inputs import Inputs
from services.gateways.kit.provider import (
    AttemptRequest,
    AttemptStatus,
    Completed,
    Failed,
    InProgress,
    NotFound,
    OutcomeUnknown,
    Payload,
    Rejected,
    StatusUnavailable,
    SubmissionRef,
)
from services.gateways.kit.wire import ask, excerpt, json_of, seed_in, send_paid
from shared.clock import now

ALIASES = {"fal-ai/flux": "fal-ai/flux/dev"}
NAMESPACES = ("workflows", "comfy")
URLS = ("status_url", "response_url", "cancel_url")
MAX_LENGTH = 2000
"""Maximum length of an id or a link of Fal's."""


def endpoint_of(settings: FalSettings, request: AttemptRequest) -> str:
    """Return the path of the model that draws this request."""
    spec, model = request.spec, settings.text_model
    if spec.reference or spec.face:
        model = settings.identity_model
    if spec.lora:
        model = settings.lora_model
    if spec.kind == "lora_training":
        model = settings.training_model
    asked = request.model or model
    return ALIASES.get(asked, asked).strip("/")


def links_of(queue_url: str, endpoint: str, request_id: str) -> dict[str, str]:
    """Return the links of a request below owner/alias, as Fal's own clients build them."""
    parts = endpoint.split("/")
    app = "/".join(parts[: 3 if parts[0] in NAMESPACES else 2])
    base = f"{queue_url}/{app}/requests/{request_id}"
    return {"status_url": f"{base}/status", "response_url": base, "cancel_url": f"{base}/cancel"}


def ref_of(settings: FalSettings, request: AttemptRequest, request_id: str) -> SubmissionRef:
    """Return the ref that `submit` would have returned, from the request id alone."""
    endpoint = endpoint_of(settings, request)
    return {"id": request_id} | links_of(settings.queue[0], endpoint, quote(request_id, safe=""))


class FalProvider:
    """Submits, polls and cancels requests of the queue at `queue_url`."""

    name: ProviderName = "fal"

    def __init__(
        self,
        http: httpx.AsyncClient,
        settings: FalSettings,
        inputs: Inputs,
        webhook_of: Callable[[str], str] | None = None,
    ) -> None:
        self._http = http
        self._inputs = inputs
        self._settings = settings
        self._webhook_of = webhook_of
        self._training = Training(FalStorage(http, settings), inputs, settings)
        self._url, authorization = settings.queue
        self._headers = {"Authorization": authorization}

    def dialect(self, request: AttemptRequest) -> Dialect:
        """See `Provider`."""
        return dialect_of([endpoint_of(self._settings, request)], "prose")

    async def prepare(self, request: AttemptRequest) -> Payload:
        """See `Provider`. Inputs go as signed links. `endpoint` is the model's path, not sent."""
        spec, inputs = request.spec, self._inputs
        if request.workflow:
            raise Rejected("unsupported", "Fal runs models, not ComfyUI workflows")
        if spec.kind == "lora_training":
            training = await self._training.input_of(request)
            return {"endpoint": endpoint_of(self._settings, request), "body": training}
        body: Payload = {
            "prompt": spec.prompt,
            "image_size": {"width": spec.width, "height": spec.height},
            "num_images": 1,
            "seed": spec.seed,
            "output_format": "png",
            "enable_safety_checker": not spec.nsfw_allowed,
        }
        if spec.negative_prompt:
            body["negative_prompt"] = spec.negative_prompt
        if person := spec.reference or spec.face:
            body["reference_image_url"] = await inputs.image_url(request.tenant, person)
        if spec.lora:
            link = await inputs.lora_url(request.tenant, spec.lora.key)
            body["loras"] = [{"path": link, "scale": spec.lora.scale}]
        return {"endpoint": endpoint_of(self._settings, request), "body": body}

    async def submit(self, request: AttemptRequest, payload: Payload) -> SubmissionRef:
        """See `Provider`. Fal's own retries are off: each would be a submission we do not know of."""
        left = (request.deadline_at - now()).total_seconds()
        headers = self._headers | {
            "X-Fal-Request-Timeout": f"{max(2.0, left):.0f}",
            "X-Fal-No-Retry": "1",
        }
        answer = await send_paid(
            self._http,
            f"{self._url}/{payload['endpoint']}",
            acceptance_header="x-fal-request-id",
            params={"fal_webhook": self._webhook_of(request.attempt_id)} if self._webhook_of else {},
            json=payload["body"],
            headers=headers,
        )
        try:
            body = json_of(answer)
        except StatusUnavailable as odd:
            raise OutcomeUnknown(str(odd)) from odd
        request_id = body.get("request_id")
        if not isinstance(request_id, str) or not 0 < len(request_id) <= MAX_LENGTH:
            raise OutcomeUnknown(f"submit answered {excerpt(answer)}")
        return {"id": request_id} | self._links(payload["endpoint"], request_id, body)

    def _links(self, endpoint: str, request_id: str, body: dict[str, Any]) -> dict[str, str]:
        """Return Fal's links if they lead to Fal; else links rebuilt below owner/alias."""
        rebuilt = links_of(self._url, endpoint, quote(request_id, safe=""))
        return {
            name: str(body[name]) if self._may_receive_key(body.get(name)) else rebuilt[name] for name in URLS
        }

    def _may_receive_key(self, url: object) -> bool:
        """Return whether our key may be sent to this URL: only to the queue's host."""
        sendable = isinstance(url, str) and url.isascii() and url.isprintable() and len(url) <= MAX_LENGTH
        return sendable and str(url).startswith(f"{self._url}/")

    async def poll(self, request: AttemptRequest, ref: SubmissionRef) -> AttemptStatus:
        """See `Provider`."""
        answer = await self._status(request, ref)
        if answer.status_code == 404:
            return NotFound("Fal no longer knows this request")
        status = json_of(answer)
        match status.get("status"):
            case "COMPLETED":
                return await self._result(request, ref, status)
            case "IN_QUEUE":
                place = status.get("queue_position")
                known = isinstance(place, int) and place >= 0
                return InProgress("queued", queue_position=place if known else None)
        return InProgress("running", percent=percent_in(status.get("logs")))

    async def _status(self, request: AttemptRequest, ref: SubmissionRef) -> httpx.Response:
        """Ask for the status; of a training with its logs, which alone show the progress."""
        if request.spec.kind == "lora_training":
            try:
                return await self._ask("GET", ref["status_url"], params={"logs": "1"})
            except StatusUnavailable:  # logs may exceed the limit of an answer
                pass
        return await self._ask("GET", ref["status_url"], params={"logs": "0"})

    async def _result(
        self, request: AttemptRequest, ref: SubmissionRef, status: dict[str, Any]
    ) -> AttemptStatus:
        try:
            answer = await self._ask("GET", ref["response_url"], errors_are_results=True)
        except StatusUnavailable:
            if status.get("error_type"):
                return failure_in(status)
            raise
        if answer.status_code == 404:
            return NotFound("Fal no longer has this result", billed="yes")
        if answer.status_code == 200 and answer.content.strip() == b"null":
            return Failed("no_output", "the result is null", retryable=False, billed="yes")
        body = json_of(answer)
        if answer.status_code >= 400:
            if body.get("detail") == STILL_RUNNING:
                return InProgress("running")
            return failure_of(answer, body)
        metrics = status.get("metrics")
        seconds = metrics.get("inference_time") if isinstance(metrics, dict) else None
        seconds = seconds if isinstance(seconds, int | float) else None
        if request.spec.kind == "lora_training":
            return self._training.end(request, body, seconds)
        return _done(body, seconds)

    async def cancel(self, request: AttemptRequest, ref: SubmissionRef) -> None:
        """See `Provider`. A running request may still complete, and cost."""
        await self._ask("PUT", ref["cancel_url"])

    async def _ask(self, method: str, url: str, **request: Any) -> httpx.Response:
        return await ask(self._http, method, url, headers=self._headers, **request)


def _done(body: dict[str, Any], seconds: float | None) -> AttemptStatus:
    images = body.get("images")
    if not isinstance(images, list):
        images = [body.get("image")]
    flags = body.get("has_nsfw_concepts") or body.get("nsfw_content_detected") or []
    if not isinstance(flags, list):
        flags = [flags] * len(images)
    outputs = tuple(
        Output(
            url=image["url"],
            content_type=kind if isinstance(kind := image.get("content_type"), str) else None,
            nsfw=bool(flags[position]) if position < len(flags) else False,
        )
        for position, image in enumerate(images)
        if isinstance(image, dict) and isinstance(image.get("url"), str)
    )
    if not outputs:
        return Failed("no_output", "the result names no image", retryable=False, billed="yes")
    return Completed(outputs, seed=seed_in(body.get("seed")), seconds=seconds)
