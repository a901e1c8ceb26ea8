"""ComfyUI's websockets: events are not replayed, and each client id has one socket."""

import asyncio
import json
import struct
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

PREVIEW: Final = 1
PREVIEW_WITH_METADATA: Final = 4
JPEG: Final = 1
FEATURES: Final = {
    "supports_preview_metadata": True,
    "max_upload_size": 104857600,
    "extension": {"manager": {"supports_v4": True}},
    "node_replacements": True,
    "assets": False,
}


class Sockets:
    def __init__(self) -> None:
        self._queues: dict[str, asyncio.Queue[str | bytes]] = {}
        self._with_metadata: set[str] = set()
        """Clients that support previews with metadata, according to their first message."""
        self._tasks: set[asyncio.Task[None]] = set()

    def listening(self, client_id: str | None) -> bool:
        """Return True if a socket would receive messages to this client, or to all clients for None."""
        return bool(self._queues) if client_id is None else client_id in self._queues

    def send(self, kind: str, data: dict[str, Any], client_id: str) -> None:
        queue = self._queues.get(client_id)
        if queue is not None:
            queue.put_nowait(json.dumps({"type": kind, "data": data}))

    def send_all(self, kind: str, data: dict[str, Any]) -> None:
        for client_id in self._queues:
            self.send(kind, data, client_id)

    def send_preview(self, image: bytes, metadata: dict[str, Any], client_id: str | None) -> None:
        """Send a JPEG preview, with metadata to clients that support it, else in the older format."""
        about = json.dumps({**metadata, "image_type": "image/jpeg"}).encode()
        newer = struct.pack(">II", PREVIEW_WITH_METADATA, len(about)) + about + image
        older = struct.pack(">II", PREVIEW, JPEG) + image
        for name, queue in self._queues.items():
            if client_id in (None, name):
                queue.put_nowait(newer if name in self._with_metadata else older)

    async def serve(
        self, socket: WebSocket, status: Callable[[], dict[str, Any]], current: Callable[[str], Any]
    ) -> None:
        """Serve one socket. When a replaced socket closes, its client id is removed and the newer one gets
        nothing."""
        await socket.accept()
        client_id = socket.query_params.get("clientId") or uuid.uuid4().hex
        queue: asyncio.Queue[str | bytes] = asyncio.Queue()
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
            self._with_metadata.discard(client_id)
            self._tasks.discard(writer)
            writer.cancel()

    def drop_all(self) -> None:
        """Disconnect all clients by ending their writers."""
        self._queues.clear()
        for task in self._tasks:
            task.cancel()

    async def _read(self, socket: WebSocket, client_id: str) -> None:
        first = True
        try:
            while True:
                text = await socket.receive_text()
                if first and (flags := _flags(text)) is not None:
                    if flags.get("supports_preview_metadata") is True:
                        self._with_metadata.add(client_id)
                    self.send("feature_flags", FEATURES, client_id)
                first = False
        except (WebSocketDisconnect, RuntimeError):
            return


async def _write(socket: WebSocket, queue: asyncio.Queue[str | bytes]) -> None:
    try:
        while True:
            message = await queue.get()
            if isinstance(message, bytes):
                await socket.send_bytes(message)
            else:
                await socket.send_text(message)
    except asyncio.CancelledError:
        with suppress(WebSocketDisconnect, RuntimeError):
            await socket.close(1001)
    except (WebSocketDisconnect, RuntimeError):
        return


def _flags(text: str) -> dict[str, Any] | None:
    """Return the features that a client announces, or None for any other message."""
    try:
        message = json.loads(text)
    except ValueError:
        return None
    if not isinstance(message, dict) or message.get("type") != "feature_flags":
        return None
    data = message.get("data")
    return data if isinstance(data, dict) else {}
