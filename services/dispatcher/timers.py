"""jobs whose `wake_at` has come → job.due"""

import asyncio
from datetime import datetime

from contracts.jobs import JobDue
from shared.clock import Clock, now
from shared.envelope import Outgoing
from shared.kafka.publisher import Publisher
from shared.loops import every
from shared.mongo import Collection, Document, due_by

TICK_SECONDS = 0.25
AGAIN_SECONDS = 10.0
"""A job that was called is called again after this long, if its document has not moved."""
PAGE = 500
FIELDS = ("wake_at", "trace", "phase", "tenant", "character_id")
WAITING = ("waiting_for_character", "waiting_for_lora")


class Timers:
    """Calls due jobs. Every instance does; a job that is called twice shrugs."""

    def __init__(self, jobs: Collection, publisher: Publisher, now: Clock = now) -> None:
        self._jobs = jobs
        self._publisher = publisher
        self._now = now
        self._called: dict[tuple[str, datetime], float] = {}

    async def run(self) -> None:
        """Look for due jobs until cancelled; a server that is away is waited for."""
        await every(TICK_SECONDS, self.publish_due, name="timers")

    async def publish_due(self) -> None:
        """One look. What is due is called page by page: after an hour's outage it may be everything."""
        clock = asyncio.get_running_loop().time()
        self._called = {key: called for key, called in self._called.items() if clock - called < AGAIN_SECONDS}
        due = self._jobs.find({"wake_at": due_by(self._now())}, dict.fromkeys(FIELDS, 1)).batch_size(PAGE)
        calls: dict[tuple[str, datetime], Outgoing] = {}
        async for job in due:
            key = (job["_id"], job["wake_at"])
            if key not in self._called:
                calls[key] = Outgoing(_due(job), job.get("trace"))
            if len(calls) == PAGE:
                await self._call(calls)
                calls = {}
        await self._call(calls)

    async def _call(self, calls: dict[tuple[str, datetime], Outgoing]) -> None:
        if calls:
            await self._publisher.publish(calls.values())
            self._called |= dict.fromkeys(calls, asyncio.get_running_loop().time())


def _due(job: Document) -> JobDue:
    """The call of a job, with the character that it waits for."""
    call = JobDue(job_id=job["_id"], due_at=job["wake_at"])
    if job.get("phase") not in WAITING:
        return call
    return call.model_copy(update={"tenant": job["tenant"], "character_id": job.get("character_id")})
