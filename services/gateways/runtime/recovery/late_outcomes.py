"""Ends that the provider had not told when they were written → asked for later, entered, said once.

An attempt that we gave up on has an entry with `next_check_at`; so has one that ended for us and is heard
of again. Its state stays what it was: a late result is paid for and not delivered.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Literal

import structlog
from prometheus_client import Counter

from contracts.operations import AttemptSettled
from contracts.renders import Billed
from services.gateways.kit.provider import (
    CannotBeAsked,
    Completed,
    Failed,
    InProgress,
    NotFound,
    Provider,
    StatusUnavailable,
    SubmissionRef,
)
from services.gateways.runtime.ledger.ledger import named
from services.gateways.runtime.lifecycle.attempt import Attempt, attempt_of
from shared.clock import now
from shared.loops import every
from shared.mongo import Collection, Document, due_by, find_by_id
from shared.outbox import outbox_entry
from shared.transient import is_transient

log = structlog.get_logger()

FIRST_SECONDS = 10.0
MAX_CHECKS = 9
"""With pauses that double: for about an hour and a half."""
SURE_CHECKS = 4
"""So often a provider must say that it knows nothing of an attempt before it was surely never taken."""
PAGE = 20
TICK_SECONDS = 1.0

late_outcomes = Counter("imagegen_late_ends", "Ends that became known late", ["provider", "outcome"])
orphans = Counter("imagegen_orphans_stopped", "What ran on although it had ended for us", ["provider"])

Outcome = Literal["succeeded", "failed", "cancelled"]

NO_MORE = {"next_check_at": "", "checks": "", "not_found_checks": ""}


def first_check(finished_at: datetime) -> datetime:
    """When an end is asked for that the provider had not told."""
    return finished_at + timedelta(seconds=FIRST_SECONDS)


def next_check(checks: int, time: datetime) -> datetime | None:
    """When to ask again after so many looks; None when that is of no use any more."""
    if checks >= MAX_CHECKS:
        return None
    return time + timedelta(seconds=FIRST_SECONDS * 2**checks)


def settled(attempt: Attempt, outcome: Outcome, billed: Billed, cost_usd: float | None) -> AttemptSettled:
    """What became of an attempt that no one waits for, as it is said to those who keep accounts."""
    command = attempt.command
    return AttemptSettled(
        attempt_id=command.attempt_id,
        job_id=command.job_id,
        tenant=command.tenant,
        provider=command.provider,
        at=now(),
        outcome=outcome,
        billed=billed,
        cost_usd=cost_usd,
    )


class LateOutcomes:
    """Any process of the gateway may ask; one of them enters what it hears."""

    def __init__(self, attempts: Collection, provider: Provider, source: str) -> None:
        self._attempts = attempts
        self._provider = provider
        self._source = source

    async def run(self) -> None:
        """Ask when it is time, until cancelled."""
        await every(TICK_SECONDS, self._ask_all_due, name="late ends")

    async def _ask_all_due(self) -> None:
        while await self.ask_due() == PAGE:
            pass

    async def ask_due(self) -> int:
        """Ask about a page of those that are due; returns how many there were."""
        ids: list[str] = []
        time = now()
        async for found in self._attempts.find({"next_check_at": due_by(time)}, {"provider": 1, "owner": 1}):
            if found["provider"] == self._provider.name and "owner" not in found:
                ids.append(found["_id"])
            if len(ids) == PAGE:
                break
        found_now = await find_by_id(self._attempts, ids)  # others may have claimed some since
        due = [each for each in found_now if each.get("next_check_at") and each["next_check_at"] <= time]
        await asyncio.gather(*(self._ask(document) for document in due))
        return len(due)

    async def _ask(self, document: Document) -> None:
        """An answer that cannot be handled is no reason to ask about nothing else: it is asked again."""
        claimed = await self._claim(document)
        if claimed is None:
            return
        try:
            await self._look(claimed, attempt_of(document), document.get("not_found_checks", 0) + 1)
        except StatusUnavailable as silence:
            log.info("no_late_answer", attempt_id=document["_id"], error=str(silence))
        except CannotBeAsked:
            await self._forget(claimed)
        except Exception as error:
            if is_transient(error):
                raise
            log.exception("late_end_failed", attempt_id=document["_id"])

    async def _look(self, claimed: Document, attempt: Attempt, not_found_checks: int) -> None:
        ref = attempt.ref or await self._provider.find(attempt.request)
        if ref is not None:
            await self._hear(claimed, attempt, ref)
        elif not_found_checks < SURE_CHECKS:
            await self._attempts.update_one(claimed, {"$set": {"not_found_checks": not_found_checks}})
        else:
            await self._enter(claimed, attempt, Failed("lost", "surely never taken", False, "no"), {})

    async def _claim(self, document: Document) -> Document | None:
        """Put off the next look before this one: nobody else looks now. Returns what guards its entry."""
        checks = document.get("checks", 0)
        again = next_check(checks, now())
        guard = {"_id": document["_id"], "next_check_at": document["next_check_at"]}
        update: Document = {"$set": {"next_check_at": again, "checks": checks + 1}}
        if not (await self._attempts.update_one(guard, update)).matched_count:
            return None
        return guard | {"next_check_at": again}

    async def _hear(self, claimed: Document, attempt: Attempt, ref: SubmissionRef) -> None:
        known = named(ref)
        match await self._provider.poll(attempt.request, ref):
            case InProgress():
                await self._provider.cancel(attempt.request, ref)
                await self._attempts.update_one(claimed, {"$set": known | {"orphan": True}})
                orphans.labels(self._provider.name).inc()
                log.warning("orphan_stopped", attempt_id=attempt.id, external_id=ref["id"])
            case status if attempt.state == "succeeded" or _says_nothing(status):
                await self._forget(claimed)
            case NotFound(message):
                log.info("no_late_end", attempt_id=attempt.id, error=message)
            case status:
                await self._enter(claimed, attempt, status, known)

    async def _enter(
        self, claimed: Document, attempt: Attempt, status: Completed | Failed, known: Document
    ) -> None:
        """One write: what became of it, and the message that the outbox says of it.

        Not while its end is unsaid: that comes first.
        """
        cost = status.cost_usd
        billed = "yes" if isinstance(status, Completed) else status.billed
        message = settled(attempt, _outcome(attempt, status), billed, cost)
        outbox = outbox_entry(message, source=self._source, trace=attempt.trace, at=message.at)
        entry: Document = {
            "billed": billed,
            "final_outcome": message.outcome,
            "final_outcome_at": message.at,
            "outbox": outbox,
        }
        if cost is not None:
            entry["cost_usd"] = cost
        guard = claimed | {"outbox": {"$exists": False}}
        update = {"$set": known | entry, "$unset": NO_MORE}
        if (await self._attempts.update_one(guard, update)).matched_count:
            late_outcomes.labels(self._provider.name, message.outcome).inc()
            log.info("late_end", attempt_id=attempt.id, outcome=message.outcome, billed=billed)

    async def _forget(self, claimed: Document) -> None:
        """There is nothing more to be known."""
        await self._attempts.update_one(claimed, {"$unset": NO_MORE})


def _says_nothing(status: Completed | Failed | NotFound) -> bool:
    return isinstance(status, Failed) and status.billed == "unknown"


def _outcome(attempt: Attempt, status: Completed | Failed) -> Outcome:
    if isinstance(status, Completed):
        return "succeeded"
    return "cancelled" if status.code == "cancelled" or attempt.state == "cancelled" else "failed"
