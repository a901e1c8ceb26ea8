"""Look up, record and publish once the outcomes that were unknown when an attempt ended.

A document with `next_check_at` is an attempt that was given up, or one that the gateway has ended and that
was reported again.
"""

import asyncio

import structlog
from prometheus_client import Counter

from services.gateways.kit.provider import Provider, StatusUnavailable, SubmissionRef
from services.gateways.runtime.ledger.documents import attempt_from, ref_fields
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.lifecycle.endings import settled
from services.gateways.runtime.lifecycle.late_outcome import (
    CheckAgain,
    Forget,
    LateDecision,
    RecordOutcome,
    StopOrphan,
    late_outcome,
    next_check,
)
from services.gateways.runtime.lifecycle.observations import Accepted
from services.gateways.runtime.provider_calls import look_up, poll
from shared.clock import now
from shared.loops import every
from shared.mongo import Collection, Document, due_by, find_by_id
from shared.outbox import outbox_entry
from shared.transient import is_transient

log = structlog.get_logger()

PAGE = 20
TICK_SECONDS = 1.0

late_outcomes = Counter(
    "imagegen_late_outcomes_total", "Outcomes reported after the end of an attempt", ["provider", "outcome"]
)
orphans = Counter(
    "imagegen_orphans_stopped_total", "Submissions cancelled after the end of their attempt", ["provider"]
)

NO_MORE_CHECKS = {"next_check_at": "", "checks": "", "not_found_checks": ""}


class LateOutcomes:
    """Checks of ended attempts. Any process of the gateway makes them; one of them enters the outcome."""

    def __init__(self, attempts: Collection, provider: Provider, source: str) -> None:
        self._attempts = attempts
        self._provider = provider
        self._source = source

    async def run(self) -> None:
        """Make the checks when they are due, until cancelled."""
        await every(TICK_SECONDS, self._check_all_due, name="late outcomes")

    async def _check_all_due(self) -> None:
        while await self.check_due() == PAGE:
            pass

    async def check_due(self) -> int:
        """Make a page of the due checks; return their number."""
        ids: list[str] = []
        time = now()
        fields = {"provider": 1, "owner": 1}
        async for found in self._attempts.find({"next_check_at": due_by(time)}, fields):
            if found["provider"] == self._provider.name and "owner" not in found:
                ids.append(found["_id"])
            if len(ids) == PAGE:
                break
        found_now = await find_by_id(self._attempts, ids)  # others may have claimed some since
        due = [each for each in found_now if each.get("next_check_at") and each["next_check_at"] <= time]
        await asyncio.gather(*(self._check(document) for document in due))
        return len(due)

    async def _check(self, document: Document) -> None:
        """Make one check. An unexpected error does not stop the others; the check is repeated."""
        claimed = await self._claim(document)
        if claimed is None:
            return
        try:
            await self._ask(claimed, attempt_from(document), document.get("not_found_checks", 0))
        except StatusUnavailable as unavailable:
            log.info("orphan_not_stopped", attempt_id=document["_id"], error=str(unavailable))
        except Exception as error:
            if is_transient(error):
                raise
            log.exception("late_outcome_check_failed", attempt_id=document["_id"])

    async def _claim(self, document: Document) -> Document | None:
        """Plan the next check before this one, so that no other process makes it; return the guard."""
        checks = document.get("checks", 0)
        again = next_check(checks, now())
        guard = {"_id": document["_id"], "next_check_at": document["next_check_at"]}
        update: Document = {"$set": {"next_check_at": again, "checks": checks + 1}}
        if not (await self._attempts.update_one(guard, update)).matched_count:
            return None
        return guard | {"next_check_at": again}

    async def _ask(self, claimed: Document, attempt: Attempt, not_found_checks: int) -> None:
        known = Accepted(attempt.ref, True) if attempt.ref else await look_up(self._provider, attempt.request)
        if not isinstance(known, Accepted):
            await self._carry_out(late_outcome(attempt, known, not_found_checks), claimed, attempt, None)
            return
        status = await poll(self._provider, attempt.request, known.ref)
        decision = late_outcome(attempt, status, not_found_checks)
        await self._carry_out(decision, claimed, attempt, known.ref)

    async def _carry_out(
        self, decision: LateDecision, claimed: Document, attempt: Attempt, ref: SubmissionRef | None
    ) -> None:
        known = ref_fields(ref) if ref else {}
        match decision:
            case CheckAgain(not_found=True):
                await self._attempts.update_one(claimed, {"$inc": {"not_found_checks": 1}})
            case CheckAgain():
                log.info("late_outcome_still_open", attempt_id=attempt.id)
            case Forget():
                await self._attempts.update_one(claimed, {"$unset": NO_MORE_CHECKS})
            case StopOrphan():
                assert ref is not None, "a running submission has a ref"
                await self._provider.cancel(attempt.request, ref)
                await self._attempts.update_one(claimed, {"$set": known | {"orphan": True}})
                orphans.labels(self._provider.name).inc()
                log.warning("orphan_stopped", attempt_id=attempt.id, external_id=ref["id"])
            case RecordOutcome():
                await self._record(decision, claimed, attempt, known)

    async def _record(
        self, decision: RecordOutcome, claimed: Document, attempt: Attempt, known: Document
    ) -> None:
        """Enter the outcome and its message in one write, unless the end's own message is unpublished."""
        outcome, cost = decision.outcome, decision.cost_usd
        message = settled(attempt.command, outcome, decision.billed, cost, now())
        entry: Document = {
            "billed": decision.billed,
            "final_outcome": outcome,
            "final_outcome_at": message.at,
            "outbox": outbox_entry(message, source=self._source, trace=attempt.trace, at=message.at),
        }
        if cost is not None:
            entry["cost_usd"] = cost
        guard = claimed | {"outbox": {"$exists": False}}
        update = {"$set": known | entry, "$unset": NO_MORE_CHECKS}
        if (await self._attempts.update_one(guard, update)).matched_count:
            late_outcomes.labels(self._provider.name, outcome).inc()
            log.info("late_outcome_recorded", attempt_id=attempt.id, outcome=outcome, billed=decision.billed)
