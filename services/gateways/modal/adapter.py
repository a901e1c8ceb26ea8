"""Adapter of our application on Modal (contracts/modal_app.py), which de-duplicates by our id."""

from itertools import zip_longest
from typing import TypeVar

import httpx
from pydantic import ValidationError

from contracts.base import Provider as ProviderName
from contracts.captions import training_caption
from contracts.modal_app import (
    TOO_LATE,
    UNDECIDED,
    WORKFLOW_REFUSED,
    ModalImageInput,
    ModalLora,
    ModalManifest,
    ModalModel,
    ModalPending,
    ModalResult,
    ModalStopped,
    ModalSubmit,
    ModalSubmitted,
    ModalTrainingImage,
    ModalTrainingInput,
    ModalUnfinished,
)
from contracts.renders import Billed, Output
from services.gateways.kit.dialects import Dialect, dialect_of, model_names
from services.gateways.kit.inputs import LINK_SECONDS, Inputs
from services.gateways.kit.provider import (
    REJECTED,
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
from services.gateways.kit.wire import MAX_ANSWER_BYTES, ask, excerpt, seed_in, send_paid
from services.gateways.kit.workflows import callers_graph
from services.gateways.modal.settings import ModalSettings
from shared.clock import now

M = TypeVar("M", bound=ModalModel)
JSON = "application/json"
LIST_BYTES = 16 * 1024 * 1024
"""Maximum size of the list of everybody's open calls, at 90 bytes each."""


class ModalProvider:
    """Submits, polls, finds and cancels calls of the application at `base_url`."""

    name: ProviderName = "modal"

    def __init__(self, http: httpx.AsyncClient, settings: ModalSettings, inputs: Inputs) -> None:
        self._http = http
        self._inputs = inputs
        self._url = settings.base_url.rstrip("/")
        self._training_steps = settings.training_steps
        self._headers = {
            "Modal-Key": settings.key.get_secret_value(),
            "Modal-Secret": settings.secret.get_secret_value(),
        }

    def dialect(self, request: AttemptRequest) -> Dialect:
        """See `Provider`. The application draws with Flux, but runs any workflow."""
        names = model_names(request.workflow) if request.workflow else [request.model or ""]
        return dialect_of(names, "prose")

    async def prepare(self, request: AttemptRequest) -> Payload:
        """See `Provider`. Inputs go as signed links."""
        spec, inputs, tenant = request.spec, self._inputs, request.tenant
        if spec.kind == "lora_training":
            return await self._training(request)
        image = ModalImageInput(
            prompt=spec.prompt,
            negative_prompt=spec.negative_prompt,
            seed=spec.seed,
            width=spec.width,
            height=spec.height,
            model=request.model,
            reference_url=await inputs.image_url(tenant, spec.reference) if spec.reference else None,
            face_url=await inputs.image_url(tenant, spec.face) if spec.face else None,
            lora=ModalLora(url=await inputs.lora_url(tenant, spec.lora.key), scale=spec.lora.scale)
            if spec.lora
            else None,
            workflow=callers_graph(request) if request.workflow else None,
        )
        return _written(ModalSubmit(id=request.idempotency_key, input=image, deadline_at=request.deadline_at))

    async def _training(self, request: AttemptRequest) -> Payload:
        """Make the body of a training; links are valid until the deadline, as it may wait for a GPU."""
        spec = request.spec
        seconds = max(LINK_SECONDS, int((request.deadline_at - now()).total_seconds()))
        links = [
            await self._inputs.image_url(request.tenant, asset, seconds) for asset in spec.training_images
        ]
        try:
            training = ModalTrainingInput(
                trigger_word=spec.prompt,
                images=tuple(
                    ModalTrainingImage(url=url, caption=caption and training_caption(caption, spec.prompt))
                    for url, caption in zip_longest(links, spec.captions[: len(links)], fillvalue="")
                ),
                steps=spec.steps or self._training_steps,
                seed=spec.seed,
            )
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_input=False)[0]
            raise Rejected("invalid_request", f"{wrong['loc']}: {wrong['msg']}") from error
        deadline = request.deadline_at
        return _written(
            ModalSubmit(
                id=request.idempotency_key, kind="lora_training", input=training, deadline_at=deadline
            )
        )

    async def submit(self, request: AttemptRequest, payload: Payload) -> SubmissionRef:
        """See `Provider`."""
        try:
            url = f"{self._url}/submit"
            answer = await send_paid(
                self._http, url, acceptance_header=UNDECIDED, json=payload, headers=self._headers
            )
        except Rejected as rejection:
            if rejection.status == 404:  # the application always has this route
                reason = f"{rejection.message}: is the application deployed?"
                raise Rejected("provider_not_deployed", reason, status=404) from rejection
            raise
        try:
            return {"id": ModalSubmitted.model_validate_json(answer.content).call_id}
        except ValidationError as error:
            raise OutcomeUnknown(f"submit answered {excerpt(answer)}") from error

    async def find(self, request: AttemptRequest) -> SubmissionRef | None:
        """See `Lookup`."""
        answer = await self._ask("GET", f"/by-id/{request.idempotency_key}")
        if answer.status_code == 404:
            return None
        return {"id": _read(ModalSubmitted, answer).call_id}

    def is_recoverable(self, ref: SubmissionRef) -> bool:
        """See `Lookup`."""
        return True

    async def poll(self, request: AttemptRequest, ref: SubmissionRef) -> AttemptStatus:
        """See `Provider`."""
        answer = await self._ask("GET", f"/result/{ref['id']}")
        match answer.status_code:
            case 202:
                return _working(answer)
            case 404:
                return NotFound("Modal no longer knows this call")
            case 410:
                return Failed("cancelled", "the call was cancelled at Modal", False, _billed(answer))
            case 200:
                return _end(request, _read(ModalResult, answer))
        raise StatusUnavailable(f"result: {answer.status_code} {excerpt(answer)}")

    async def cancel(self, request: AttemptRequest, ref: SubmissionRef) -> None:
        """See `Provider`."""
        await self._ask("POST", f"/cancel/{ref['id']}")

    async def unfinished(self) -> frozenset[str]:
        """See `ListsUnfinished`."""
        answer = await self._ask("GET", "/calls", max_bytes=LIST_BYTES)
        return frozenset(call.id for call in _read(ModalUnfinished, answer).calls)

    async def _ask(self, method: str, path: str, *, max_bytes: int = MAX_ANSWER_BYTES) -> httpx.Response:
        """Return the application's answer. A plain-text 404 is Modal's own: no application runs there."""
        url = self._url + path
        answer = await ask(self._http, method, url, max_bytes=max_bytes, headers=self._headers)
        if answer.status_code == 404 and not answer.headers.get("content-type", "").startswith(JSON):
            raise StatusUnavailable(f"{path}: {excerpt(answer)}: is the application deployed?")
        return answer


def _written(submit: ModalSubmit) -> Payload:
    return submit.model_dump(mode="json", exclude_none=True)


def _end(request: AttemptRequest, result: ModalResult) -> AttemptStatus:
    if result.status == "failed" or not result.outputs:
        error = result.error
        if error is None:
            return Failed("no_output", "the call succeeded without an output", False, "yes")
        if error.type == TOO_LATE:
            return Failed("deadline_exceeded", error.message, False, "no")
        if error.type == WORKFLOW_REFUSED:
            return Failed("invalid_workflow", f"{REJECTED}: {error.message}"[:500], False, "yes")
        return Failed("provider_error", f"{error.type}: {error.message}"[:500], error.retryable, "yes")
    if request.spec.kind == "lora_training":
        return _trained(result, result.manifest)
    outputs = tuple(
        Output(path=output.path, content_type=output.content_type, nsfw=output.nsfw)
        for output in result.outputs
    )
    if request.workflow:  # the result is the first output
        return Completed(outputs[:1], seconds=result.gpu_seconds, dropped=outputs[1:])
    return Completed(outputs, seed=seed_in(result.seed), seconds=result.gpu_seconds)


def _trained(result: ModalResult, manifest: ModalManifest | None) -> AttemptStatus:
    """Return the weights with the details of the manifest."""
    if manifest is None:
        return Failed("no_output", "the training gave no manifest", False, "yes")
    kinds = (output.content_type for output in result.outputs if output.path == manifest.path)
    weights = Output(
        path=manifest.path, content_type=next(kinds, None), role="weights", sha256=manifest.sha256
    )
    return Completed(
        (weights,),
        seed=seed_in(result.seed),
        seconds=result.gpu_seconds,
        base_model=manifest.base_model,
        steps=manifest.steps,
    )


def _billed(answer: httpx.Response) -> Billed:
    """Return whether a stopped call is billed: it is once it has started."""
    match _read(ModalStopped, answer).started:
        case True:
            return "yes"
        case False:
            return "no"
    return "unknown"


def _working(answer: httpx.Response) -> InProgress:
    if not answer.content.strip():
        return InProgress("queued")
    pending = _read(ModalPending, answer)
    percent = None if pending.progress is None else max(0, min(100, round(pending.progress)))
    return InProgress("running" if pending.status == "running" else "queued", percent)


def _read(kind: type[M], answer: httpx.Response) -> M:
    try:
        return kind.model_validate_json(answer.content)
    except ValidationError as error:
        raise StatusUnavailable(f"{answer.url.path}: not a {kind.__name__}: {excerpt(answer)}") from error
