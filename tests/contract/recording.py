"""Playback of a real ComfyUI server's recording to the adapter, answer by answer."""

import json
import re
from pathlib import Path
from typing import Any

import httpx

from services.gateways.kit.provider import AttemptRequest, AttemptStatus, Provider, SubmissionRef
from tests.fakes.adapters import an_adapter
from tests.fakes.provider import FakeInputs, an_attempt_request

SAMPLES = Path(__file__).parent / "samples"
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
IDLE: dict[str, Any] = {"queue_running": [], "queue_pending": []}

Event = dict[str, Any]


def events_of(name: str) -> Any:
    """Return a sample by its path below `samples` without `.json`."""
    return json.loads((SAMPLES / f"{name}.json").read_text())


class Recording:
    """One recording and the position in it.

    A submission gets the next recorded answer to one and moves the position behind it. A GET gets the next
    answer to it from there on, other requests get their own. Anything else is answered as the server answers
    for unknown ids (recordings 07 and 19).
    """

    def __init__(self, name: str) -> None:
        self.exchanges: list[Event] = [each for each in events_of(name) if each["kind"] == "http"]
        self.unused = {at for at, each in enumerate(self.exchanges) if _is_ours(each["request"])}
        self.requests: list[httpx.Request] = []
        self.is_old_server = False
        """Behave as a server without `/api/jobs/{id}/cancel`. State is always read as from such a server."""
        self.is_down = False
        self._at = 0
        self._requests: dict[str, AttemptRequest] = {}
        self.provider = self._an_adapter()

    def skip_past(self, note: str) -> None:
        """Skip the recorded action of another client with this note."""
        self._at = 1 + next(at for at, each in enumerate(self.exchanges) if each["note"] == note)

    def request(self, beginning: str) -> AttemptRequest:
        """Return the request whose recorded id begins so."""
        [prompt_id] = {
            each for each in UUID.findall(json.dumps(self.exchanges)) if each.startswith(beginning)
        }
        return self._requests.setdefault(prompt_id, an_attempt_request("comfyui"))

    @property
    def next_submission(self) -> Event:
        """The exchange of the next submission."""
        return self.exchanges[self._next_submission()]

    def _next_submission(self) -> int:
        return next(
            at
            for at, each in enumerate(self.exchanges)
            if at >= self._at and _call(each["request"]) == ("POST", "/prompt")
        )

    async def submit(self) -> tuple[AttemptRequest, SubmissionRef]:
        """Submit the next recorded prompt under a new id."""
        recorded = self.next_submission["request"].get("json")
        body: Event = recorded if isinstance(recorded, dict) else {}
        recorded_id = str(body.get("prompt_id"))
        request = self.request(recorded_id) if UUID.fullmatch(recorded_id) else an_attempt_request("comfyui")
        graph = body.get("prompt", {})
        return request, await self.provider.submit(
            request, {"prompt": graph, "prompt_id": request.idempotency_key}
        )

    async def poll(self, beginning: str, **ref: str) -> AttemptStatus:
        """Return the status of the request whose recorded id begins so."""
        self.provider = self._an_adapter()  # polls of one adapter share one read of the queue
        request = self.request(beginning)
        return await self.provider.poll(request, {"id": request.idempotency_key} | ref)

    async def cancel(self, beginning: str) -> None:
        """Cancel this request and nothing else."""
        request = self.request(beginning)
        await self.provider.cancel(request, {"id": request.idempotency_key})

    def _an_adapter(self) -> Provider:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer), verify=False)
        return an_adapter("comfyui", http, "http://comfyui.internal", FakeInputs())

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.is_down:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        text = f"{request.url.path}\n{request.content.decode()}"
        for recorded_id, ours in self._requests.items():
            text = text.replace(ours.idempotency_key, recorded_id)
        path, _, body = text.partition("\n")
        if path.startswith("/api/jobs") and (self.is_old_server or request.method == "GET"):
            return httpx.Response(405)
        at = self._find(request.method, path, json.loads(body) if body else None)
        if at is None:
            return _unknown(request.method, path)
        self.unused.discard(at)
        return self._recorded_answer(self.exchanges[at])

    def _find(self, method: str, path: str, body: Any) -> int | None:
        if (method, path) == ("POST", "/prompt"):
            at = self._next_submission()
            self._at = at + 1
            return at
        same = [
            at
            for at, each in enumerate(self.exchanges)
            if _call(each["request"]) == (method, path) and each["request"].get("json") == body
        ]
        if method == "GET":
            later = next((at for at in same if at >= self._at), None)
            if later and self.exchanges[later]["body"] and self._waits_until(later, path):
                return None
            return later
        return next((at for at in same if at in self.unused), None)

    def _waits_until(self, later: int, path: str) -> bool:
        """Return True if a queue recorded before this history still contains the prompt."""
        prompt_id = path.rpartition("/")[2]
        return path.startswith("/history/") and any(
            prompt_id in json.dumps(each["body"])
            for each in self.exchanges[self._at : later]
            if _call(each["request"]) == ("GET", "/queue")
        )

    def _recorded_answer(self, exchange: Event) -> httpx.Response:
        body = exchange["body"]
        text = body if isinstance(body, str) else json.dumps(body)
        for recorded_id, request in self._requests.items():
            text = text.replace(recorded_id, request.idempotency_key)
        return httpx.Response(exchange["status"], text=text)


def _call(request: Event) -> tuple[str, str]:
    return request["method"], request["path"]


def _is_ours(request: Event) -> bool:
    """Return True for requests that the adapter makes; it never touches prompts of other clients."""
    method, path = _call(request)
    if method == "GET":
        return path == "/queue" or path.startswith("/history/")
    if path in ("/queue", "/interrupt"):
        return bool({"delete", "prompt_id"} & (request.get("json") or {}).keys())
    return path == "/prompt" or re.fullmatch("/api/jobs/[^/]+/cancel", path) is not None


def _unknown(method: str, path: str) -> httpx.Response:
    """Return the server's answer about an unknown id."""
    if method == "GET":
        return httpx.Response(200, json=IDLE if path == "/queue" else {})
    return httpx.Response(200, json={"cancelled": False}) if "cancel" in path else httpx.Response(200)
