"""Group commit: writes of many tasks share bulk writes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence, Set
from functools import partial
from typing import Generic, TypeVar

from shared.mongo.client import Collection, Write, write_guarded
from shared.transient import is_transient

W = TypeVar("W")

MOST = 500


class GroupCommit(Generic[W]):
    """Collects writes while one group is being written, then writes them together.

    Args:
        send: writes a group and returns the positions of writes whose guard did not hold.
    """

    def __init__(self, send: Callable[[Sequence[W]], Awaitable[Set[int]]]) -> None:
        self._send = send
        self._waiting: list[tuple[W, asyncio.Future[bool]]] = []
        self._flusher: asyncio.Task[None] | None = None

    async def write(self, write: W) -> bool:
        """Write durably. Return False if the guard did not hold.

        Raises:
            PyMongoError: when the group's write failed; it is unknown which writes were done.
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

    async def _write(self, group: Sequence[tuple[W, asyncio.Future[bool]]]) -> None:
        try:
            lost = await self._send([write for write, _ in group])
        except Exception as error:
            if len(group) > 1 and not is_transient(error):
                for each in group:  # a refused write must not fail the others
                    await self._write([each])
                return
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
            return
        for position, (_, future) in enumerate(group):
            if not future.done():
                future.set_result(position not in lost)


def guarded_writes(collection: Collection) -> GroupCommit[Write]:
    """Return a group commit of guarded upserts and inserts; see `write_guarded`."""
    return GroupCommit(partial(write_guarded, collection))
