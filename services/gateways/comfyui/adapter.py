"""Adapter of ComfyUI. We choose the prompt_id, poll by it, and never send a global interrupt."""

from collections.abc import AsyncGenerator
from typing import Final

import httpx

from contracts.base import Provider as ProviderName
from contracts.renders import Billed
from services.gateways.comfyui.answers import Run, end_of, is_from_cache, node_problem_in, rejection_reason_in
from services.gateways.comfyui.graphs import graph_of, loads_lora, reads
from services.gateways.comfyui.lookup import PromptLookup, UnreadablePrompt
from services.gateways.comfyui.loras import LoraFolder
from services.gateways.comfyui.progress_hints import Socket
from services.gateways.comfyui.settings import ComfyUISettings
from services.gateways.kit.dialects import Dialect
from services.gateways.kit.inputs import Inputs
from services.gateways.kit.provider import (
    LOCKED_OUT,
    REJECTED,
    AttemptRequest,
    AttemptStatus,
    Completed,
    Failed,
    InProgress,
    NotAccepted,
    NotFound,
    OutcomeUnknown,
    Payload,
    ProgressHint,
    Rejected,
    StatusUnavailable,
    SubmissionRef,
)
from services.gateways.kit.wire import ask, excerpt, json_of, send_paid
from shared.ids import uuid7

FILE_GONE: Final = (
    "the server answered from its cache with a file that is gone; "
    "write {{prefix}} into the node that saves the result, so that each run saves its own file"
)
UNREADABLE: Final = "the server answers with an error whenever it is asked for the end of this prompt"
NOT_COMFYUI: Final = (404, 405)
"""Statuses with which a ComfyUI server never answers a prompt: another server is at the address."""
REJECTION_DEPTH: Final = 5
"""Depth of a node's error; below it the server lists every model that it has."""


class ComfyUIProvider:
    """Submits, polls, finds and cancels prompts of the server at `base_url`."""

    name: ProviderName = "comfyui"

    def __init__(self, http: httpx.AsyncClient, settings: ComfyUISettings, inputs: Inputs) -> None:
        self._http = http
        self._inputs = inputs
        self._url = settings.base_url.rstrip("/")
        self._settings = settings
        folder = settings.lora_dir
        self._loras = LoraFolder(folder, inputs, settings.lora_keep_days) if folder else None
        self._client_id = uuid7()
        self._socket = Socket(self._url, self._client_id)
        self._lookup = PromptLookup(http, self._url)

    def dialect(self, request: AttemptRequest) -> Dialect:
        """See `Provider`."""
        return reads(request, self._settings.dialect)

    async def prepare(self, request: AttemptRequest) -> Payload:
        """See `Provider`. Input images are uploaded under their content's name."""
        if request.spec.kind == "lora_training":
            raise Rejected("unsupported", "a ComfyUI server does not train")
        lora_name = await self._place_lora(request) if loads_lora(request) else ""
        images: dict[str, str] = {}
        if request.spec.reference:
            images["reference_image"] = await self._upload(request.tenant, request.spec.reference)
        if request.spec.face:
            images["face_image"] = await self._upload(request.tenant, request.spec.face)
        return {
            "prompt": graph_of(request, self._settings, lora_name=lora_name, **images),
            "prompt_id": request.idempotency_key,
            "client_id": self._client_id,
        }

    async def _place_lora(self, request: AttemptRequest) -> str:
        """See `LoraFolder.place`."""
        if self._loras is None:
            raise Rejected("unsupported", "this server gets no LoRAs: COMFYUI_LORA_DIR is not set")
        assert request.spec.lora is not None, "only requests with a LoRA place one"
        return await self._loras.place(request.tenant, request.spec.lora.key)

    async def _upload(self, tenant: str, asset_id: str) -> str:
        name, data = await self._inputs.image(tenant, asset_id)
        form = {"type": "input", "subfolder": "imagegen", "overwrite": "true"}
        try:
            answer = await ask(
                self._http, "POST", f"{self._url}/upload/image", files={"image": (name, data)}, data=form
            )
            if 400 <= answer.status_code < 500:
                reason = f"upload of {asset_id}: {answer.status_code} {excerpt(answer)}"
                raise Rejected("invalid_input", reason)
            stored = json_of(answer)
        except StatusUnavailable as silence:
            raise NotAccepted("provider_unreachable", str(silence)) from silence
        if answer.status_code != 200 or "name" not in stored:
            raise NotAccepted("provider_busy", f"upload: {answer.status_code} {excerpt(answer)}")
        return f"{stored.get('subfolder') or ''}/{stored['name']}".lstrip("/")

    async def submit(self, request: AttemptRequest, payload: Payload) -> SubmissionRef:
        """See `Provider`. A 200 with node errors rejects a prompt that runs all the same: see `poll`."""
        self._socket.steps.expect(request.idempotency_key, payload["prompt"])
        url = f"{self._url}/prompt"
        try:
            answer = await send_paid(
                self._http, url, reason_in=rejection_reason_in, depth=REJECTION_DEPTH, json=payload
            )
        except Rejected as rejection:
            if rejection.code in LOCKED_OUT or rejection.status in NOT_COMFYUI:
                raise
            reason = rejection.message.removeprefix(f"{rejection.status} ")
            raise _rejected_workflow(reason, rejection.status) from rejection
        except OutcomeUnknown as unknown:
            if await self._could_not_read(request, unknown):
                raise _rejected_workflow("the server cannot read it", unknown.status) from unknown
            raise
        ref = {"id": request.idempotency_key}
        try:
            body = json_of(answer)
        except StatusUnavailable as odd:
            raise OutcomeUnknown(str(odd)) from odd
        if body.get("prompt_id") != request.idempotency_key:
            raise OutcomeUnknown(f"submit answered for prompt {str(body.get('prompt_id'))[:100]!r}")
        if body.get("node_errors"):
            reason = node_problem_in(body["node_errors"]) or "the server dropped a part of it"
            return ref | {"rejected": reason[:500]}
        return ref | {"client_id": self._client_id}

    async def _could_not_read(self, request: AttemptRequest, unknown: OutcomeUnknown) -> bool:
        """Return whether a 500 means an unreadable request: then the server has no such prompt."""
        if unknown.status != 500:
            return False
        try:
            return await self.find(request) is None
        except StatusUnavailable:
            return False

    async def find(self, request: AttemptRequest) -> SubmissionRef | None:
        """See `Lookup`."""
        try:
            found = await self._lookup.state_of(request.idempotency_key)
        except UnreadablePrompt:
            return {"id": request.idempotency_key}
        return None if found is None else {"id": request.idempotency_key}

    def is_recoverable(self, ref: SubmissionRef) -> bool:
        """See `Lookup`."""
        return "rejected" not in ref  # a lookup does not return the rejection

    async def poll(self, request: AttemptRequest, ref: SubmissionRef) -> AttemptStatus:
        """See `Provider`. A prompt that is not found is looked up once more."""
        prompt_id, rejection = ref["id"], ref.get("rejected")
        try:
            found = await self._lookup.state_of(prompt_id) or await self._lookup.state_of(prompt_id)
        except UnreadablePrompt as error:
            return NotFound(f"{UNREADABLE}: {error}", code="result_unreadable", retryable=False)
        if rejection and isinstance(found, InProgress):
            await self.cancel(request, ref)
        if isinstance(found, InProgress):
            return found
        if rejection:
            billed: Billed = "no" if found is None else "yes"
            return Failed("invalid_workflow", f"{REJECTED}: {rejection}", retryable=False, billed=billed)
        if found is None:
            return Failed("lost", "neither in the queue nor in the history", retryable=True, billed="no")
        return await self._end(request, found)

    async def _end(self, request: AttemptRequest, run: Run) -> AttemptStatus:
        """Return the end of a run. A cached result may name a removed file, which no other try would find."""
        graph = request.workflow or {}
        status = end_of(run, graph)
        if isinstance(status, Completed) and is_from_cache(run, graph):
            answer = await ask(self._http, "HEAD", f"{self._url}{status.outputs[0].path}")
            if answer.status_code == 404:
                return Failed("cached_file_gone", FILE_GONE, retryable=False, billed="yes")
        return status

    async def unfinished(self) -> frozenset[str]:
        """See `ListsUnfinished`. Everybody's prompts in the queue."""
        return frozenset(await self._lookup.unfinished())

    async def cancel(self, request: AttemptRequest, ref: SubmissionRef) -> None:
        """See `Provider`. Servers without a cancel call get a delete and a targeted interrupt."""
        prompt_id = ref["id"]
        try:
            answer = await ask(self._http, "POST", f"{self._url}/api/jobs/{prompt_id}/cancel")
            if answer.status_code in (404, 405):
                await ask(self._http, "POST", f"{self._url}/queue", json={"delete": [prompt_id]})
                await ask(self._http, "POST", f"{self._url}/interrupt", json={"prompt_id": prompt_id})
        finally:
            self._lookup.expire()

    def progress_hints(self) -> AsyncGenerator[ProgressHint, None]:
        """See `StreamsProgress`."""
        return self._socket.progress_hints()

    def is_streamed(self, ref: SubmissionRef) -> bool:
        """See `StreamsProgress`. Only prompts submitted under our client id are streamed to us."""
        return self._socket.is_open and ref.get("client_id") == self._client_id


def _rejected_workflow(reason: str, status: int | None) -> Rejected:
    """Return the rejection of a workflow; code and text are the same for 400, 413, 500 and node errors."""
    return Rejected("invalid_workflow", f"{REJECTED}: {reason}", status=status)
