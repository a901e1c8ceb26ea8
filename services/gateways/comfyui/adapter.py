"""ComfyUI: our prompt_id, the queue before the history, and never a global interrupt."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx

from contracts.base import Provider as ProviderName
from services.gateways.comfyui.answers import end_of, node_problem_in, queue_in, refusal_in, run_in
from services.gateways.comfyui.graphs import graph_of, loads_lora, reads
from services.gateways.comfyui.hints import Socket
from services.gateways.comfyui.loras import LoraFolder
from services.gateways.comfyui.settings import ComfyUISettings
from services.gateways.runtime.dialects import Dialect
from services.gateways.runtime.inputs import Inputs
from services.gateways.runtime.provider import (
    Broken,
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

QUEUE_SECONDS = 0.1
"""Polls that are no further apart share one look at the queue."""


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
        self._queue: asyncio.Task[dict[str, Working]] | None = None
        self._queue_until = 0.0

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
        try:
            url = f"{self._url}/prompt"
            answer = await send_paid(self._http, url, reason_in=refusal_in, json=payload)
        except OutcomeUnknown as unknown:
            await self._refuse_what_broke_the_server(order, unknown)
            raise
        handle = {"id": order.uuid}
        try:
            body = json_of(answer)
        except NoAnswer as odd:
            raise OutcomeUnknown(str(odd)) from odd
        if body.get("prompt_id") != order.uuid:
            raise OutcomeUnknown(f"submit answered for prompt {str(body.get('prompt_id'))[:100]!r}")
        if body.get("node_errors"):
            reason = node_problem_in(body["node_errors"]) or "the server dropped a part of the workflow"
            return handle | {"refused": reason[:500]}
        return handle | {"client_id": self._client_id}

    async def _refuse_what_broke_the_server(self, order: Order, unknown: OutcomeUnknown) -> None:
        """A 500 here means a request that the server cannot read; if it has none, it took none."""
        if unknown.status != 500:
            return
        try:
            taken = await self.find(order)
        except NoAnswer:
            return
        if taken is None:
            raise Refused("invalid_workflow", f"the server cannot read this workflow: {unknown}")

    async def find(self, order: Order) -> Handle | None:
        """See `Provider`."""
        queue = await self._look_at_queue()
        if order.uuid in queue or await self._history(order.uuid):
            return {"id": order.uuid}
        return None

    def finds_again(self, handle: Handle) -> bool:
        """See `Provider`."""
        return "refused" not in handle  # which nobody else can know

    async def poll(self, order: Order, handle: Handle) -> News:
        """See `Provider`. First the queue, then the history: the other way misses what moves between."""
        if reason := handle.get("refused"):
            return await self._stop_refused(order, handle, reason)
        queue = await self._shared_queue()
        if working := queue.get(handle["id"]):
            return working
        run = await self._history(handle["id"])
        if run is not None:
            return end_of(run)
        queue = await self._look_at_queue()
        if working := queue.get(handle["id"]):
            return working
        if run := await self._history(handle["id"]):
            return end_of(run)
        return Broken("lost", "neither in the queue nor in the history", retryable=True, billed="no")

    async def _stop_refused(self, order: Order, handle: Handle, reason: str) -> News:
        """A part of a refused workflow is there: it is stopped, and followed until it has."""
        if working := (await self._look_at_queue()).get(handle["id"]):
            await self.cancel(order, handle)
            return working
        ran = await self._history(handle["id"]) is not None
        return Broken("invalid_workflow", reason, retryable=False, billed="yes" if ran else "no")

    async def unfinished(self) -> frozenset[str]:
        """See `Listing`. Whatever anybody has in the queue."""
        return frozenset(await self._look_at_queue())

    async def cancel(self, order: Order, handle: Handle) -> None:
        """See `Provider`. Servers without a cancel call get a delete and a targeted interrupt."""
        prompt_id = handle["id"]
        answer = await ask(self._http, "POST", f"{self._url}/api/jobs/{prompt_id}/cancel")
        if answer.status_code in (404, 405):
            await ask(self._http, "POST", f"{self._url}/queue", json={"delete": [prompt_id]})
            await ask(self._http, "POST", f"{self._url}/interrupt", json={"prompt_id": prompt_id})

    async def hints(self) -> AsyncGenerator[Hint, None]:
        """See `Hinting`."""
        async with aclosing(self._socket.hints()) as hints:
            async for hint in hints:
                if hint.percent is None:
                    self._queue_until = 0.0  # an older look at the queue would still show it
                yield hint

    def hints_about(self, handle: Handle) -> bool:
        """See `Hinting`. Only what was submitted under our client id is told to us."""
        return self._socket.is_open and handle.get("client_id") == self._client_id

    async def _history(self, prompt_id: str) -> dict[str, Any] | None:
        answer = await ask(self._http, "GET", f"{self._url}/history/{prompt_id}")
        if answer.status_code != 200:
            raise NoAnswer(f"history: {answer.status_code} {excerpt(answer)}")
        return run_in(json_of(answer), prompt_id)

    async def _shared_queue(self) -> dict[str, Working]:
        time = asyncio.get_running_loop().time()
        if self._queue is None or time > self._queue_until:
            self._queue = asyncio.create_task(self._look_at_queue())
            self._queue_until = time + QUEUE_SECONDS
        return await self._queue

    async def _look_at_queue(self) -> dict[str, Working]:
        return queue_in(json_of(await ask(self._http, "GET", f"{self._url}/queue")))
