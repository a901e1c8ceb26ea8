"""lora.ready, lora.failed → the jobs that wait for that LoRA → job.due"""

from collections import defaultdict
from collections.abc import Sequence

from pymongo import IndexModel

from contracts.chains import LoraFailed, LoraReady
from contracts.jobs import JobDue
from shared.envelope import Outgoing, Received
from shared.kafka.subscribe import Subscribe
from shared.mongo import Collection, Document

LoraMessage = LoraReady | LoraFailed
CharacterOwner = tuple[str, str]

WAITING = {"phase": "waiting_for_lora"}
WAITING_INDEX = IndexModel([("character_id", 1), ("phase", 1)], partialFilterExpression=WAITING)
"""Contains only the waiting jobs."""
FIELDS = ("tenant", "character_id", "trace")
PAGE = 500


def wakeups(subscribe: Subscribe, jobs: Collection) -> None:
    """Declare the subscription that wakes the jobs that wait for a LoRA.

    A job that is written after this query is woken by the timers.
    """

    @subscribe(LoraMessage, group="dispatcher-wakeups")
    async def wake_waiting_jobs(batch: Sequence[Received[LoraMessage]]) -> list[Outgoing]:
        waiting = await find_waiting_jobs(jobs, {received.message.character_id for received in batch})
        return [
            due_message(received, job) for received in batch for job in waiting[owner_of(received.message)]
        ]


async def find_waiting_jobs(
    jobs: Collection, character_ids: set[str]
) -> dict[CharacterOwner, list[Document]]:
    """Return the jobs that wait for the LoRA of one of these characters, page by page."""
    query = {"character_id": {"$in": sorted(character_ids)}} | WAITING
    waiting: dict[CharacterOwner, list[Document]] = defaultdict(list)
    async for job in jobs.find(query, dict.fromkeys(FIELDS, 1)).batch_size(PAGE):
        waiting[job["tenant"], job["character_id"]].append(job)
    return waiting


def owner_of(message: LoraMessage) -> CharacterOwner:
    """Return the tenant and character of a LoRA: ids of characters are unique per tenant."""
    return message.tenant, message.character_id


def due_message(received: Received[LoraMessage], job: Document) -> Outgoing:
    """Return the message that makes a job check again; the same for a redelivery."""
    due_at = min(received.message.at, received.at)
    due = JobDue(job_id=job["_id"], due_at=due_at, character_id=job["character_id"], tenant=job["tenant"])
    return Outgoing(due, job.get("trace"), (received.topic, received.partition))
