"""Start exactly one call per idempotency key, also when a container dies between any two steps.

1. A submit adds `reserve/0/{key}`, atomically: one of all concurrent submits may start a call.
2. That submit starts the call and writes the call's id into its reservation.
3. The call, before any work, adds `run/{key}`, atomically. A later call for the same key ends at once and
   returns the id of the first.

A death between 1 and 2 leaves a reservation without a call. Once it is stale, the next submit adds
`reserve/1/{key}` and starts a call. If the first submit had started a call after all, both calls exist and
step 3 lets one of them work.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Protocol

from deploy.modal.ports import Ids, NothingStarted, NotStarted, Table, Unavailable


def reserve_key(n: int, idempotency_key: str) -> str:
    return f"reserve/{n}/{idempotency_key}"


def run_key(idempotency_key: str) -> str:
    return f"run/{idempotency_key}"


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
        poll_interval: float = 0.2,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._table = table
        self._stale = stale_seconds
        self._wait = wait_seconds
        self._poll_interval = poll_interval
        self._clock = clock

    async def submit(self, idempotency_key: str, start: Callable[[], Awaitable[str]]) -> str:
        """Implement `Ids.submit`."""
        if running := await self._table.get(run_key(idempotency_key)):
            return str(running)
        for n in count():
            key = reserve_key(n, idempotency_key)
            if await self._table.add(key, {"at": self._clock()}):
                return await self._start(key, idempotency_key, start)
            if call_id := await self._call_in(key, idempotency_key):
                return call_id
        raise AssertionError("unreachable")

    async def find(self, idempotency_key: str) -> str | None:
        """Implement `Ids.find`."""
        if running := await self._table.get(run_key(idempotency_key)):
            return str(running)
        for n in count():
            entry = await self._entry(reserve_key(n, idempotency_key))
            if entry is None:
                return None
            if "call_id" in entry:
                return str(entry["call_id"])
            if not self._is_stale(entry):
                raise Unavailable(f"a call for {idempotency_key!r} is being started")
        raise AssertionError("unreachable")

    async def is_known(self, call_id: str) -> bool:
        """Implement `Ids.is_known`."""
        return await self._table.get(call_key(call_id)) is not None

    async def pin(self, call_id: str) -> str | None:
        """Implement `Ids.pin`."""
        idempotency_key = await self._table.get(call_key(call_id))
        if idempotency_key is None:
            return None
        if await self._table.add(run_key(str(idempotency_key)), call_id):
            return call_id
        return str(await self._table.get(run_key(str(idempotency_key))) or call_id)

    async def _start(self, key: str, idempotency_key: str, start: Callable[[], Awaitable[str]]) -> str:
        try:
            call_id = await start()
        except NotStarted as reason:
            await self._table.put(key, {"at": 0})  # stale: the next submit starts at once
            raise NothingStarted(str(reason)) from reason
        await self._table.put(call_key(call_id), idempotency_key)
        await self._table.put(key, {"at": self._clock(), "call_id": call_id})
        return call_id

    async def _call_in(self, key: str, idempotency_key: str) -> str | None:
        """Wait for the call that another submit is starting; return None if that submit failed."""
        deadline = self._clock() + self._wait
        while True:
            entry = await self._entry(key)
            if entry and "call_id" in entry:
                return str(entry["call_id"])
            if entry is None or self._is_stale(entry):
                return None
            if running := await self._table.get(run_key(idempotency_key)):
                return str(running)
            if self._clock() >= deadline:
                raise Unavailable(f"a call for {idempotency_key!r} is being started")
            await asyncio.sleep(self._poll_interval)

    async def _entry(self, key: str) -> dict[str, Any] | None:
        entry = await self._table.get(key)
        return entry if isinstance(entry, dict) else None

    def _is_stale(self, entry: dict[str, Any]) -> bool:
        return bool(entry["at"] + self._stale <= self._clock())


class WorkerTable(Protocol):
    """Synchronous variant of `Table`, for the functions on a GPU."""

    def get(self, key: str) -> object | None: ...

    def put(self, key: str, value: object) -> None: ...

    def add(self, key: str, value: object) -> bool: ...


def claim(table: WorkerTable, idempotency_key: str, call_id: str) -> str:
    """Return the one call that may work for this key: this call, or an earlier one."""
    table.put(call_key(call_id), idempotency_key)
    if table.add(run_key(idempotency_key), call_id):
        return call_id
    return str(table.get(run_key(idempotency_key)) or call_id)
