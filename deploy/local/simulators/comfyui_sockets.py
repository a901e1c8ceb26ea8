"""Events → websockets, with ComfyUI's manners: nothing is replayed, one name is one socket."""

import asyncio
import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

FEATURES: Final = {
    "supports_preview_metadata": True,
    "max_upload_size": 104857600,
    "extension": {"manager": {"supports_v4": True}},
    "node_replacements": True,
    "assets": False,
}


class Sockets:
    def __init__(self) -> None:
        self._queues: dict[str, asyncio.Queue[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def listening(self, client_id: str | None) -> bool:
        """Whether anybody gets messages that go to this client, or to all when it has no name."""
        return bool(self._queues) if client_id is None else client_id in self._queues

    def send(self, kind: str, data: dict[str, Any], client_id: str) -> None:
        queue = self._queues.get(client_id)
        if queue is not None:
            queue.put_nowait(json.dumps({"type": kind, "data": data}))

    def send_all(self, kind: str, data: dict[str, Any]) -> None:
        for client_id in self._queues:
            self.send(kind, data, client_id)

    async def serve(
        self, socket: WebSocket, status: Callable[[], dict[str, Any]], current: Callable[[str], Any]
    ) -> None:
        """When a replaced socket closes, the name is forgotten and the newer one stays silent."""
        await socket.accept()
        client_id = socket.query_params.get("clientId") or uuid.uuid4().hex
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._queues[client_id] = queue
        self.send("status", {**status(), "sid": client_id}, client_id)
        node = current(client_id)
        if node is not None:
            self.send("executing", {"node": node}, client_id)
        writer = asyncio.create_task(_write(socket, queue))
        self._tasks.add(writer)
        try:
            await self._read(socket, client_id)
        finally:
            self._queues.pop(client_id, None)
            self._tasks.discard(writer)
            writer.cancel()

    def drop_all(self) -> None:
        """The writers end, and with them their sockets."""
        self._queues.clear()
        for task in self._tasks:
            task.cancel()

    async def _read(self, socket: WebSocket, client_id: str) -> None:
        first = True
        try:
            while True:
                text = await socket.receive_text()
                if first and _kind(text) == "feature_flags":
                    self.send("feature_flags", FEATURES, client_id)
                first = False
        except (WebSocketDisconnect, RuntimeError):
            return


async def _write(socket: WebSocket, queue: asyncio.Queue[str]) -> None:
    try:
        while True:
            await socket.send_text(await queue.get())
    except asyncio.CancelledError:
        with suppress(WebSocketDisconnect, RuntimeError):
            await socket.close(1001)
    except (WebSocketDisconnect, RuntimeError):
        return


def _kind(text: str) -> Any:
    try:
        message = json.loads(text)
    except ValueError:
        return None
    return message.get("type") if isinstance(message, dict) else None
