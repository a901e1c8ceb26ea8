"""One call for one id, also when a container dies between reserving, starting and noting.

1. `reserve/0/{id}` is written where nothing was: one of all concurrent submits gets to start a call.
2. It starts the call, and notes the call's id in its reservation.
3. The call itself, before it does any work, writes `run/{id}` where nothing was. A call that comes
   second ends at once, naming the first.

Whoever dies between 1 and 2 leaves a reservation without a call. When it is stale the next submit
reserves `reserve/1/{id}` and starts a call. If in truth a call had been started (death between
2's halves), both exist and 3 lets one of them work.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Protocol

from deploy.modal.ports import Ids, NothingStarted, NotStarted, Table, Unavailable


def reserve_key(n: int, our_id: str) -> str:
    return f"reserve/{n}/{our_id}"


def run_key(our_id: str) -> str:
    return f"run/{our_id}"


def call_key(call_id: str) -> str:
    return f"call/{call_id}"


def stop_key(call_id: str) -> str:
    return f"stop/{call_id}"


def progress_key(call_id: str) -> str:
    return f"progress/{call_id}"


class ReservedIds(Ids):
    def __init__(
        self,
        table: Table,
        *,
        stale_seconds: float,
        wait_seconds: float = 5.0,
        look_every: float = 0.2,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._table = table
        self._stale = stale_seconds
        self._wait = wait_seconds
        self._look_every = look_every
        self._clock = clock

    async def submit(self, our_id: str, start: Callable[[], Awaitable[str]]) -> str:
        """See `Ids`."""
        if running := await self._table.get(run_key(our_id)):
            return str(running)
        for n in count():
            key = reserve_key(n, our_id)
            if await self._table.add(key, {"at": self._clock()}):
                return await self._start(key, our_id, start)
            if call_id := await self._call_in(key, our_id):
                return call_id
        raise AssertionError("unreachable")

    async def find(self, our_id: str) -> str | None:
        """See `Ids`."""
        if running := await self._table.get(run_key(our_id)):
            return str(running)
        for n in count():
            entry = await self._entry(reserve_key(n, our_id))
            if entry is None:
                return None
            if "call_id" in entry:
                return str(entry["call_id"])
            if not self._is_stale(entry):
                raise Unavailable(f"a call for {our_id!r} is being started")
        raise AssertionError("unreachable")

    async def knows(self, call_id: str) -> bool:
        """See `Ids`."""
        return await self._table.get(call_key(call_id)) is not None

    async def hold(self, call_id: str) -> str | None:
        """See `Ids`."""
        our_id = await self._table.get(call_key(call_id))
        if our_id is None:
            return None
        if await self._table.add(run_key(str(our_id)), call_id):
            return call_id
        return str(await self._table.get(run_key(str(our_id))) or call_id)

    async def _start(self, key: str, our_id: str, start: Callable[[], Awaitable[str]]) -> str:
        try:
            call_id = await start()
        except NotStarted as reason:
            await self._table.put(key, {"at": 0})  # stale at once: the next submit need not wait
            raise NothingStarted(str(reason)) from reason
        await self._table.put(call_key(call_id), our_id)
        await self._table.put(key, {"at": self._clock(), "call_id": call_id})
        return call_id

    async def _call_in(self, key: str, our_id: str) -> str | None:
        """The call that another submit is about to note here; None when it never will."""
        deadline = self._clock() + self._wait
        while True:
            entry = await self._entry(key)
            if entry and "call_id" in entry:
                return str(entry["call_id"])
            if entry is None or self._is_stale(entry):
                return None
            if running := await self._table.get(run_key(our_id)):
                return str(running)
            if self._clock() >= deadline:
                raise Unavailable(f"a call for {our_id!r} is being started")
            await asyncio.sleep(self._look_every)

    async def _entry(self, key: str) -> dict[str, Any] | None:
        entry = await self._table.get(key)
        return entry if isinstance(entry, dict) else None

    def _is_stale(self, entry: dict[str, Any]) -> bool:
        return bool(entry["at"] + self._stale <= self._clock())


class WorkerTable(Protocol):
    """The same table as `Table`, as the functions on a GPU use it: they do not await."""

    def get(self, key: str) -> object | None: ...

    def put(self, key: str, value: object) -> None: ...

    def add(self, key: str, value: object) -> bool: ...


def claim(table: WorkerTable, our_id: str, call_id: str) -> str:
    """The one call that may work for this id: this one, or the one that came before it."""
    table.put(call_key(call_id), our_id)
    if table.add(run_key(our_id), call_id):
        return call_id
    return str(table.get(run_key(our_id)) or call_id)
