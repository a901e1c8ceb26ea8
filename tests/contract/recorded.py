"""Plays a recording of a real ComfyUI server to the adapter, answer by answer."""

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
    """A sample, by its path below `samples` without `.json`."""
    return json.loads((SAMPLES / f"{name}.json").read_text())


class Tape:
    """One recording, and where in it we are.

    A submission is answered by the next one that was recorded, and brings us behind it. A question
    is answered by the next answer to it from there on, other calls by their own. What was not
    recorded is answered as the server answers what it does not know (07, 19).
    """

    def __init__(self, name: str) -> None:
        self.exchanges: list[Event] = [each for each in events_of(name) if each["kind"] == "http"]
        self.unplayed = {at for at, each in enumerate(self.exchanges) if _is_ours(each["request"])}
        self.asked: list[httpx.Request] = []
        self.old = False
        """A server from before `/api/jobs/{id}/cancel`. State is always asked as of an older one."""
        self.down = False
        self._at = 0
        self._requests: dict[str, AttemptRequest] = {}
        self.provider = self._an_adapter()

    def wind_past(self, note: str) -> None:
        """Somebody else did what was noted so."""
        self._at = 1 + next(at for at, each in enumerate(self.exchanges) if each["note"] == note)

    def request(self, beginning: str) -> AttemptRequest:
        """Our order that the recording knows by the id that begins so."""
        [prompt_id] = {
            each for each in UUID.findall(json.dumps(self.exchanges)) if each.startswith(beginning)
        }
        return self._requests.setdefault(prompt_id, an_attempt_request("comfyui"))

    @property
    def next_submission(self) -> Event:
        """The exchange that the next submission gets."""
        return self.exchanges[self._next_submission()]

    def _next_submission(self) -> int:
        return next(
            at
            for at, each in enumerate(self.exchanges)
            if at >= self._at and _call(each["request"]) == ("POST", "/prompt")
        )

    async def submit(self) -> tuple[AttemptRequest, SubmissionRef]:
        """Send the next recorded prompt, under our own id."""
        asked = self.next_submission["request"].get("json")
        body: Event = asked if isinstance(asked, dict) else {}
        theirs = str(body.get("prompt_id"))
        request = self.request(theirs) if UUID.fullmatch(theirs) else an_attempt_request("comfyui")
        graph = body.get("prompt", {})
        return request, await self.provider.submit(
            request, {"prompt": graph, "prompt_id": request.idempotency_key}
        )

    async def poll(self, beginning: str, **ref: str) -> AttemptStatus:
        """How our order stands that the recording knows by the id that begins so."""
        self.provider = self._an_adapter()  # polls of one adapter share a look at the queue for a moment
        request = self.request(beginning)
        return await self.provider.poll(request, {"id": request.idempotency_key} | ref)

    async def cancel(self, beginning: str) -> None:
        """Stop it, and nothing else."""
        request = self.request(beginning)
        await self.provider.cancel(request, {"id": request.idempotency_key})

    def _an_adapter(self) -> Provider:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer), verify=False)
        return an_adapter("comfyui", http, "http://comfyui.internal", FakeInputs())

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.down:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        text = f"{request.url.path}\n{request.content.decode()}"
        for theirs, ours in self._requests.items():
            text = text.replace(ours.idempotency_key, theirs)
        path, _, body = text.partition("\n")
        if path.startswith("/api/jobs") and (self.old or request.method == "GET"):
            return httpx.Response(405)
        at = self._find(request.method, path, json.loads(body) if body else None)
        if at is None:
            return _unknown(request.method, path)
        self.unplayed.discard(at)
        return self._said(self.exchanges[at])

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
        return next((at for at in same if at in self.unplayed), None)

    def _waits_until(self, later: int, path: str) -> bool:
        """Return whether a queue that was recorded before still has what a history is asked for."""
        prompt_id = path.rpartition("/")[2]
        return path.startswith("/history/") and any(
            prompt_id in json.dumps(each["body"])
            for each in self.exchanges[self._at : later]
            if _call(each["request"]) == ("GET", "/queue")
        )

    def _said(self, exchange: Event) -> httpx.Response:
        body = exchange["body"]
        text = body if isinstance(body, str) else json.dumps(body)
        for theirs, request in self._requests.items():
            text = text.replace(theirs, request.idempotency_key)
        return httpx.Response(exchange["status"], text=text)


def _call(request: Event) -> tuple[str, str]:
    return request["method"], request["path"]


def _is_ours(request: Event) -> bool:
    """Whether our adapter makes such a call: nothing that touches what is not its own."""
    method, path = _call(request)
    if method == "GET":
        return path == "/queue" or path.startswith("/history/")
    if path in ("/queue", "/interrupt"):
        return bool({"delete", "prompt_id"} & (request.get("json") or {}).keys())
    return path == "/prompt" or re.fullmatch("/api/jobs/[^/]+/cancel", path) is not None


def _unknown(method: str, path: str) -> httpx.Response:
    """What a server says that knows nothing of it."""
    if method == "GET":
        return httpx.Response(200, json=IDLE if path == "/queue" else {})
    return httpx.Response(200, json={"cancelled": False}) if "cancel" in path else httpx.Response(200)
