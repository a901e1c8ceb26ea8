"""Reconciliation: check the attempts that the provider's inventory or the ledger contradicts.

A difference is a reason to check, not a status: missing attempts are polled at once, and ended attempts
that still run are asked for by `late_outcomes`, which stops them. Under load the inventory replaces most
single polls.
"""

import asyncio
import random
from collections.abc import Collection as Ids
from datetime import datetime
from typing import Protocol

import structlog
from prometheus_client import Counter

from services.gateways.kit.provider import ListsUnfinished, Provider, StatusUnavailable, StreamsProgress
from services.gateways.runtime.ledger.takeover import Takeover
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from services.gateways.runtime.recovery.inventory import Inventory, drift, load_interval, missing
from services.gateways.runtime.scheduling.engine import Engine
from shared.clock import now
from shared.errors import TransientError
from shared.loops import every
from shared.mongo import Collection, in_pages
from shared.mongo.leases import Lease

log = structlog.get_logger()

TURN_LIMIT = 300.0
"""Seconds that one turn may take; with tens of thousands of attempts it reads many documents."""
LIST_TIMEOUT = 5.0
"""Seconds for the inventory under load; without it attempts are polled one by one again."""

differences = Counter(
    "imagegen_reconciliation_differences_total",
    "Differences between ledger and provider",
    ["provider", "kind"],
)
"""kind: missing, orphan, unknown_id, stranded."""


class InventoryUnavailable(TransientError):
    """The provider did not list its unfinished submissions."""


class PollPacing(Protocol):
    """The executor, as far as the reconciler changes it."""

    def set_min_poll_interval(self, seconds: float) -> None:
        """Poll a submission that is in progress no more often than this."""


class Reconciler:
    """Compares this process's attempts with the provider, and the provider with the whole ledger."""

    def __init__(
        self,
        attempts: Collection,
        provider: Provider,
        engine: Engine,
        lease: Lease,
        pacing: PollPacing,
        limits: ProviderLimits,
    ) -> None:
        self._attempts = attempts
        self._provider = provider
        self._takeover = Takeover(attempts)
        self._engine = engine
        self._lease = lease
        self._pacing = pacing
        self._limits = limits
        self._wake = asyncio.Event()
        self._check_requested = False
        self._full_at = 0.0
        self._stranded_at = 0.0
        self._under_load = False
        self._unknown_ids: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Reconcile until cancelled; attempts continue without it."""
        interval = min(self._limits.max_poll_interval, self._limits.reconcile_interval)
        await every(
            interval,
            self.turn,
            name="reconciliation",
            limit=TURN_LIMIT,
            wake=self._wake,
            survives=True,
            vital=False,
        )

    def request(self) -> None:
        """Compare with the inventory now: hints of the provider may have been missed."""
        self._check_requested = True
        self._wake.set()

    async def turn(self) -> None:
        """Compare with the inventory under load, and with inventory and ledger when that is due.

        Raises:
            InventoryUnavailable: the provider did not answer.
        """
        time = asyncio.get_running_loop().time()
        full = self._check_requested or time >= self._full_at
        self._check_requested = False
        if time >= self._stranded_at:
            await self._take_up_stranded()
            self._stranded_at = time + self._limits.reconcile_interval
        try:
            await self._check(full=full)
        except InventoryUnavailable:
            self._check_requested |= full
            raise
        if full:
            self._full_at = time + self._limits.reconcile_interval * random.uniform(0.8, 1.2)

    async def _check(self, *, full: bool) -> None:
        interval = self._load_interval()
        if not isinstance(self._provider, ListsUnfinished):
            if full:
                self._engine.poll_all_now()
        elif full or interval:
            await self._compare(self._provider, interval, full=full)
        self._pace_polls(interval)

    def _pace_polls(self, interval: float) -> None:
        """Poll rarely under load; poll all now when it ends, because their next polls may be far off."""
        if self._under_load and not interval:
            self._engine.poll_all_now()
        self._under_load = interval > 0
        self._pacing.set_min_poll_interval(interval)

    def _load_interval(self) -> float:
        if isinstance(self._provider, StreamsProgress) or not isinstance(self._provider, ListsUnfinished):
            return 0.0
        return load_interval(self._engine.in_flight, self._limits)

    async def _compare(self, provider: ListsUnfinished, interval: float, *, full: bool) -> None:
        sent = {attempt.request.idempotency_key: attempt for attempt in self._engine.sent()}
        inventory = await self._inventory(provider, LIST_TIMEOUT if interval else None)
        gone = missing(sent, inventory)
        for key in gone:
            if sent[key].facts.not_found_since is None:  # else it is confirmed at its own pace
                self._engine.poll_now(sent[key].id)
        if full:
            self._count(missing=len(gone))
            await self._compare_with_ledger(inventory, sent)

    async def _inventory(self, provider: ListsUnfinished, timeout: float | None) -> Inventory:
        asked_at = now()
        try:
            async with asyncio.timeout(timeout):
                return Inventory(await provider.unfinished(), asked_at)
        except (StatusUnavailable, TimeoutError) as unavailable:
            self._pacing.set_min_poll_interval(0.0)
            raise InventoryUnavailable(str(unavailable)) from unavailable

    async def _compare_with_ledger(self, inventory: Inventory, sent: Ids[str]) -> None:
        found = drift(inventory, sent, await self._finished_at(inventory.ids - set(sent)))
        await self._check_orphans(found.orphans)
        self._report_unknown_ids(found.unknown_ids)

    async def _take_up_stranded(self) -> None:
        """Work on attempts of this process that it does not have in memory: an answer was lost."""
        owner = self._lease.owner
        while not self._engine.full:
            stranded = await self._takeover.stranded(owner, self._engine)
            if not stranded or owner != self._lease.owner:
                return
            self._engine.add(stranded)
            log.warning("stranded_attempts_found", attempts=len(stranded))
            self._count(stranded=len(stranded))

    async def _finished_at(self, keys: Ids[str]) -> dict[str, datetime | None]:
        """Return the end of each attempt that the ledger has under these keys; None for open ones."""
        fields = {"idempotency_key": 1, "finished_at": 1}
        return {
            document["idempotency_key"]: document.get("finished_at")
            for page in in_pages(keys)
            async for document in self._attempts.find({"idempotency_key": {"$in": page}}, fields)
        }

    async def _check_orphans(self, orphans: Ids[str]) -> None:
        """Have the provider asked for their outcome, unless that is planned already."""
        if not orphans:
            return
        self._count(orphan=len(orphans))
        log.warning("orphans_found", ids=sorted(orphans)[:20], count=len(orphans))
        for page in in_pages(orphans):
            query = {"idempotency_key": {"$in": page}, "command": {"$exists": True}, "next_check_at": None}
            await self._attempts.update_many(query, {"$set": {"next_check_at": now(), "checks": 0}})

    def _report_unknown_ids(self, unknown_ids: frozenset[str]) -> None:
        """Report each id once; it may belong to another platform that shares this provider."""
        new = unknown_ids - self._unknown_ids
        self._unknown_ids = unknown_ids
        if new:
            log.warning("unknown_submissions_found", ids=sorted(new)[:20], count=len(new))
            self._count(unknown_id=len(new))

    def _count(self, **kinds: int) -> None:
        for kind, count in kinds.items():
            differences.labels(self._provider.name, kind).inc(count)
