"""ComfyUI: our prompt_id, polls by that id, and never a global interrupt."""

from collections.abc import AsyncGenerator
from typing import Final

import httpx

from contracts.base import Provider as ProviderName
from contracts.renders import Billed
from services.gateways.comfyui.answers import Run, end_of, is_from_cache, node_problem_in, refusal_in
from services.gateways.comfyui.graphs import graph_of, loads_lora, reads
from services.gateways.comfyui.hints import Socket
from services.gateways.comfyui.lookup import PromptLookup
from services.gateways.comfyui.loras import LoraFolder
from services.gateways.comfyui.settings import ComfyUISettings
from services.gateways.runtime.dialects import Dialect
from services.gateways.runtime.inputs import Inputs
from services.gateways.runtime.provider import (
    LOCKED_OUT,
    REFUSED,
    Broken,
    Done,
    Handle,
    Hint,
    News,
    NoAnswer,
    NotTaken,
    Order,
    OutcomeUnknown,
    Payload,
    Refused,
    Working,
)
from services.gateways.runtime.wire import ask, excerpt, json_of, send_paid
from shared.ids import uuid7

FILE_GONE: Final = (
    "the server answered from its cache with a file that is gone; "
    "write {{prefix}} into the node that saves the result, so that each run saves its own file"
)
NOT_COMFYUI: Final = (404, 405)
"""Statuses that a ComfyUI server never gives to a prompt: another server is at the address."""
REFUSAL_DEPTH: Final = 5
"""Down to a node's error: below it the server lists every model that it has."""


class ComfyUIProvider:
    """Submit, poll, find and cancel prompts of the server at `base_url`."""

    name: ProviderName = "comfyui"
    can_be_asked = True

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

    def dialect(self, order: Order) -> Dialect:
        """See `Provider`."""
        return reads(order, self._settings.dialect)

    async def prepare(self, order: Order) -> Payload:
        """See `Provider`. Input images are uploaded under their content's name."""
        if order.spec.kind == "lora_training":
            raise Refused("unsupported", "a ComfyUI server does not train")
        lora_name = await self._place_lora(order) if loads_lora(order) else ""
        images: dict[str, str] = {}
        if order.spec.reference:
            images["reference_image"] = await self._upload(order.tenant, order.spec.reference)
        if order.spec.face:
            images["face_image"] = await self._upload(order.tenant, order.spec.face)
        return {
            "prompt": graph_of(order, self._settings, lora_name=lora_name, **images),
            "prompt_id": order.uuid,
            "client_id": self._client_id,
        }

    async def _place_lora(self, order: Order) -> str:
        """See `LoraFolder.place`."""
        if self._loras is None:
            raise Refused("unsupported", "this server gets no LoRAs: COMFYUI_LORA_DIR is not set")
        assert order.spec.lora is not None, "asked for an order with a LoRA"
        return await self._loras.place(order.tenant, order.spec.lora.key)

    async def _upload(self, tenant: str, asset_id: str) -> str:
        name, data = await self._inputs.image(tenant, asset_id)
        form = {"type": "input", "subfolder": "imagegen", "overwrite": "true"}
        try:
            answer = await ask(
                self._http, "POST", f"{self._url}/upload/image", files={"image": (name, data)}, data=form
            )
            if 400 <= answer.status_code < 500:
                reason = f"upload of {asset_id}: {answer.status_code} {excerpt(answer)}"
                raise Refused("invalid_input", reason)
            stored = json_of(answer)
        except NoAnswer as silence:
            raise NotTaken("provider_unreachable", str(silence)) from silence
        if answer.status_code != 200 or "name" not in stored:
            raise NotTaken("provider_busy", f"upload: {answer.status_code} {excerpt(answer)}")
        return f"{stored.get('subfolder') or ''}/{stored['name']}".lstrip("/")

    async def submit(self, order: Order, payload: Payload) -> Handle:
        """See `Provider`. A 200 that carries node errors is a refusal of what runs: see `poll`."""
        self._socket.steps.expect(order.uuid, payload["prompt"])
        url = f"{self._url}/prompt"
        try:
            answer = await send_paid(self._http, url, reason_in=refusal_in, depth=REFUSAL_DEPTH, json=payload)
        except Refused as refused:
            if refused.code in LOCKED_OUT or refused.status in NOT_COMFYUI:
                raise
            reason = refused.message.removeprefix(f"{refused.status} ")
            raise _refused_workflow(reason, refused.status) from refused
        except OutcomeUnknown as unknown:
            if await self._could_not_read(order, unknown):
                raise _refused_workflow("the server cannot read it", unknown.status) from unknown
            raise
        handle = {"id": order.uuid}
        try:
            body = json_of(answer)
        except NoAnswer as odd:
            raise OutcomeUnknown(str(odd)) from odd
        if body.get("prompt_id") != order.uuid:
            raise OutcomeUnknown(f"submit answered for prompt {str(body.get('prompt_id'))[:100]!r}")
        if body.get("node_errors"):
            reason = node_problem_in(body["node_errors"]) or "the server dropped a part of it"
            return handle | {"refused": reason[:500]}
        return handle | {"client_id": self._client_id}

    async def _could_not_read(self, order: Order, unknown: OutcomeUnknown) -> bool:
        """A 500 here means a request that the server cannot read; if it has none, it took none."""
        if unknown.status != 500:
            return False
        try:
            return await self.find(order) is None
        except NoAnswer:
            return False

    async def find(self, order: Order) -> Handle | None:
        """See `Provider`."""
        found = await self._lookup.state_of(order.uuid)
        return None if found is None else {"id": order.uuid}

    def finds_again(self, handle: Handle) -> bool:
        """See `Provider`."""
        return "refused" not in handle  # which nobody else can know

    async def poll(self, order: Order, handle: Handle) -> News:
        """See `Provider`. A prompt that the server does not have is looked for once more."""
        prompt_id, refusal = handle["id"], handle.get("refused")
        found = await self._lookup.state_of(prompt_id) or await self._lookup.state_of(prompt_id)
        if refusal and isinstance(found, Working):
            await self.cancel(order, handle)
        if isinstance(found, Working):
            return found
        if refusal:
            billed: Billed = "no" if found is None else "yes"
            return Broken("invalid_workflow", f"{REFUSED}: {refusal}", retryable=False, billed=billed)
        if found is None:
            return Broken("lost", "neither in the queue nor in the history", retryable=True, billed="no")
        return await self._end(order, found)

    async def _end(self, order: Order, run: Run) -> News:
        """A result from the cache may name a file that was removed: no other try would find it either."""
        graph = order.workflow or {}
        news = end_of(run, graph)
        if isinstance(news, Done) and is_from_cache(run, graph):
            answer = await ask(self._http, "HEAD", f"{self._url}{news.outputs[0].path}")
            if answer.status_code == 404:
                return Broken("cached_file_gone", FILE_GONE, retryable=False, billed="yes")
        return news

    async def unfinished(self) -> frozenset[str]:
        """See `Listing`. Whatever anybody has in the queue."""
        return frozenset(await self._lookup.unfinished())

    async def cancel(self, order: Order, handle: Handle) -> None:
        """See `Provider`. Servers without a cancel call get a delete and a targeted interrupt."""
        prompt_id = handle["id"]
        try:
            answer = await ask(self._http, "POST", f"{self._url}/api/jobs/{prompt_id}/cancel")
            if answer.status_code in (404, 405):
                await ask(self._http, "POST", f"{self._url}/queue", json={"delete": [prompt_id]})
                await ask(self._http, "POST", f"{self._url}/interrupt", json={"prompt_id": prompt_id})
        finally:
            self._lookup.expire()

    def hints(self) -> AsyncGenerator[Hint, None]:
        """See `Hinting`."""
        return self._socket.hints()

    def hints_about(self, handle: Handle) -> bool:
        """See `Hinting`. Only what was submitted under our client id is told to us."""
        return self._socket.is_open and handle.get("client_id") == self._client_id


def _refused_workflow(reason: str, status: int | None) -> Refused:
    """One code and one wording, whatever the status: 400, 413, 500, or 200 with node errors."""
    return Refused("invalid_workflow", f"{REFUSED}: {reason}", status=status)
