"""Hints from ComfyUI's websocket: prompts that have ended, and the progress of others.

The server replays nothing and messages get lost, so these are hints. Two sockets under one client id
silence each other: the old one is closed before a new one opens, and a silent one is replaced.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from contracts.web_addresses import split_credentials
from services.gateways.kit.provider import ProgressHint, StatusUnavailable
from shared.url_credentials import basic_authorization

ENDS = ("execution_success", "execution_error", "execution_interrupted")
OPEN_SECONDS = 5.0
SILENCE_SECONDS = 30.0
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
MAX_PROMPTS = 4096


class Socket:
    """One websocket at a time under `client_id`, to the server at `base_url`."""

    def __init__(self, base_url: str, client_id: str, silence: float = SILENCE_SECONDS) -> None:
        url, credentials = split_credentials(base_url)
        self._url = f"ws{url.removeprefix('http')}/ws?clientId={quote(client_id, safe='')}"
        self._headers = {"Authorization": basic_authorization(credentials)} if credentials else {}
        self._silence = silence
        self.steps = Steps()
        self.is_open = False

    async def progress_hints(self) -> AsyncGenerator[ProgressHint, None]:
        """Yield hints of one connection, until it is lost or silent.

        Raises:
            StatusUnavailable: there is no connection.
        """
        try:
            socket = await connect(
                self._url,
                additional_headers=self._headers,
                proxy=None,
                compression=None,
                open_timeout=OPEN_SECONDS,
                max_size=MAX_MESSAGE_BYTES,
                close_timeout=2.0,
            )
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI, ConnectionClosed) as error:
            raise StatusUnavailable(f"websocket: {type(error).__name__}: {error}") from error
        try:
            self.is_open = True
            while (text := await self._next(socket)) is not None:
                hint = self._hint_in(text)
                if hint is not None:
                    yield hint
        finally:
            self.is_open = False
            await socket.close()

    async def _next(self, socket: ClientConnection) -> str | bytes | None:
        try:
            async with asyncio.timeout(self._silence):
                return await socket.recv()
        except (ConnectionClosed, TimeoutError):
            return None

    def _hint_in(self, text: str | bytes) -> ProgressHint | None:
        """Return the hint of a message. Previews are binary and ignored."""
        if isinstance(text, bytes):
            return None
        try:
            message = json.loads(text)
            kind, data = message["type"], message["data"]
            prompt_id = data.get("prompt_id")
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            return None
        if not isinstance(prompt_id, str):
            return None
        if kind in ENDS or (kind == "executing" and data.get("node") is None):
            return ProgressHint(prompt_id)
        percent = self.steps.percent(prompt_id, kind, data)
        return None if percent is None else ProgressHint(prompt_id, percent)


class Steps:
    """Progress of prompts by the steps of their samplers, which take most of the time."""

    def __init__(self) -> None:
        self._samplers: OrderedDict[str, dict[str, float]] = OrderedDict()

    def expect(self, prompt_id: str, graph: Mapping[str, Any]) -> None:
        """Remember the sampler nodes of a prompt."""
        names = {node: str(each.get("class_type")) for node, each in graph.items() if isinstance(each, dict)}
        samplers = [node for node, name in names.items() if "Sampler" in name and "Select" not in name]
        self._samplers[prompt_id] = dict.fromkeys(samplers, 0.0)
        if len(self._samplers) > MAX_PROMPTS:
            self._samplers.popitem(last=False)

    def percent(self, prompt_id: str, kind: str, data: Mapping[str, Any]) -> int | None:
        """Return the progress after a message about steps, None for other messages."""
        shares = self._samplers.get(prompt_id)
        if not shares:
            return None
        nodes: object = None
        if kind == "progress":
            nodes = {str(data.get("node")): data}
        elif kind == "progress_state":
            nodes = data.get("nodes")
        if not isinstance(nodes, dict):
            return None
        for node, state in nodes.items():
            if node in shares and isinstance(state, dict):
                shares[node] = _share(state.get("value"), state.get("max"))
        return int(100 * sum(shares.values()) / len(shares))


def _share(value: object, most: object) -> float:
    if not isinstance(value, int | float) or not isinstance(most, int | float) or most <= 0:
        return 0.0
    return min(1.0, max(0.0, value / most))
