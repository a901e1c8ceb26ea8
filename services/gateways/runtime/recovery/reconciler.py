"""What we think is in flight ↔ what the provider says, and the ledger: at the start and from then on.

A difference is a reason to look, not the truth: attempts in hand are polled at once, ends that were
contradicted are asked for again (`late_ends`, which stops what still runs).
"""

from collections.abc import Collection as Names
from datetime import datetime

import structlog
from prometheus_client import Counter

from services.gateways.kit.provider import ListsUnfinished, Provider, StatusUnavailable
from services.gateways.runtime.ledger.ledger import Ledger
from services.gateways.runtime.recovery.drift import compare
from services.gateways.runtime.scheduling.engine import Engine
from shared.clock import now
from shared.loops import every
from shared.mongo import Collection, in_pages
from shared.mongo.leases import Lease

log = structlog.get_logger()

TURN_LIMIT = 300.0
"""Seconds: with tens of thousands of attempts, one turn asks much."""

differences = Counter("imagegen_reconciled", "Differences between ledger and provider", ["provider", "kind"])
"""kind: gone, orphan, unknown_id, stranded."""


class Reconciler:
    """Compares this process's attempts with the provider; what has ended for us, with anybody's."""

    def __init__(
        self,
        attempts: Collection,
        provider: Provider,
        ledger: Ledger,
        engine: Engine,
        lease: Lease,
        every: float,
    ) -> None:
        self._attempts = attempts
        self._provider = provider
        self._ledger = ledger
        self._engine = engine
        self._lease = lease
        self._every = every
        self._unknown_ids: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Reconcile until cancelled, several processes not all at once."""
        name = "reconciliation"  # whatever fails, attempts go on without it
        await every(self._every, self._try, name=name, limit=TURN_LIMIT, jitter=0.2, survives=True)

    async def _try(self) -> None:
        try:
            await self.reconcile()
        except StatusUnavailable as silence:
            log.info("not_reconciled", error=str(silence))

    async def reconcile(self) -> None:
        """Once. A provider that cannot list what it has is asked for each attempt.

        Raises:
            NoAnswer: the provider did not tell.
        """
        await self._take_up_stranded()
        if not isinstance(self._provider, ListsUnfinished):
            self._engine.poll_all_now()
            return
        sent = {attempt.request.idempotency_key: attempt.id for attempt in self._engine.sent()}
        asked_at = now()
        there = await self._provider.unfinished()
        ends = await self._ends_of(there - sent.keys())
        found = compare(sent, there, ends, asked_at)
        for our_id in found.gone:
            self._engine.poll_now(sent[our_id])
        await self._ask_about(found.orphans)
        self._report_unknown_ids(found.unknown_ids)
        self._count(gone=len(found.gone), orphan=len(found.orphans))

    async def _take_up_stranded(self) -> None:
        """Ours in the ledger, and not in hand: a write was done whose answer was lost."""
        owner = self._lease.owner
        while not self._engine.full:
            stranded = await self._ledger.stranded(owner, self._engine)
            if not stranded or owner != self._lease.owner:
                return
            self._engine.add(stranded)
            log.warning("stranded_attempts", attempts=len(stranded))
            self._count(stranded=len(stranded))

    async def _ends_of(self, our_ids: Names[str]) -> dict[str, datetime | None]:
        """When the attempts ended that the provider knows by these ids; None for those that are open."""
        fields = {"idempotency_key": 1, "finished_at": 1}
        return {
            document["idempotency_key"]: document.get("finished_at")
            for page in in_pages(our_ids)
            async for document in self._attempts.find({"idempotency_key": {"$in": page}}, fields)
        }

    async def _ask_about(self, orphans: Names[str]) -> None:
        """Have their ends asked for again; not those that are asked for anyway."""
        if not orphans:
            return
        log.warning("orphans_found", ids=sorted(orphans)[:20], count=len(orphans))
        for page in in_pages(orphans):
            query = {"idempotency_key": {"$in": page}, "command": {"$exists": True}, "next_check_at": None}
            await self._attempts.update_many(query, {"$set": {"next_check_at": now(), "checks": 0}})

    def _report_unknown_ids(self, unknown_ids: frozenset[str]) -> None:
        """Each once; they may be another platform's, which shares this provider."""
        new = unknown_ids - self._unknown_ids
        self._unknown_ids = unknown_ids
        if new:
            log.warning("unknown_submissions", ids=sorted(new)[:20], count=len(new))
            self._count(unknown_id=len(new))

    def _count(self, **kinds: int) -> None:
        for kind, count in kinds.items():
            differences.labels(self._provider.name, kind).inc(count)
