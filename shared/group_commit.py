"""Writes of many tasks in as few round trips as the server's pace allows."""

import asyncio
from collections.abc import Sequence

from shared.mongo import Collection, Write, write_guarded

MOST = 500


class GroupCommit:
    """Collects guarded writes while one bulk write is under way, then sends them together."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._waiting: list[tuple[Write, asyncio.Future[bool]]] = []
        self._flusher: asyncio.Task[None] | None = None

    async def write(self, write: Write) -> bool:
        """Durable when it returns. False: the guard did not hold (see `mongo.write_guarded`).

        Raises:
            PyMongoError: when the bulk write failed; it is not known which writes were done.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((write, future))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        return await future

    async def _flush(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            await self._write(group)

    async def _write(self, group: Sequence[tuple[Write, asyncio.Future[bool]]]) -> None:
        try:
            lost = await write_guarded(self._collection, [write for write, _ in group])
        except Exception as error:
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
            return
        for position, (_, future) in enumerate(group):
            if not future.done():
                future.set_result(position not in lost)
