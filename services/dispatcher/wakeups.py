"""lora.ready, lora.failed → the jobs that wait for that LoRA → job.due"""

from collections import defaultdict
from collections.abc import Sequence

from pymongo import IndexModel

from contracts.chains import LoraFailed, LoraReady
from contracts.jobs import JobDue
from shared.envelope import Outgoing, Received
from shared.kafka.subscribe import Subscribe
from shared.mongo import Collection, Document

LoraNews = LoraReady | LoraFailed
CharacterOwner = tuple[str, str]

WAITING = {"phase": "waiting_for_lora"}
WAITING_INDEX = IndexModel([("character_id", 1), ("phase", 1)], partialFilterExpression=WAITING)
"""Holds only the jobs that wait."""
FIELDS = ("tenant", "character_id", "trace")
PAGE = 500


def wakeups(subscribe: Subscribe, jobs: Collection) -> None:
    """Declare what calls the jobs that wait for a LoRA.

    A job that is written only after this looked for it is called by the timers, and looks itself.
    """

    @subscribe(LoraNews, group="dispatcher-wakeups")
    async def wake_waiting_jobs(batch: Sequence[Received[LoraNews]]) -> list[Outgoing]:
        waiting = await find_waiting_jobs(jobs, {received.message.character_id for received in batch})
        return [call(received, job) for received in batch for job in waiting[owner_of(received.message)]]


async def find_waiting_jobs(
    jobs: Collection, character_ids: set[str]
) -> dict[CharacterOwner, list[Document]]:
    """The jobs that wait for the LoRA of one of these characters, by its owner; read page by page."""
    query = {"character_id": {"$in": sorted(character_ids)}} | WAITING
    waiting: dict[CharacterOwner, list[Document]] = defaultdict(list)
    async for job in jobs.find(query, dict.fromkeys(FIELDS, 1)).batch_size(PAGE):
        waiting[job["tenant"], job["character_id"]].append(job)
    return waiting


def owner_of(news: LoraNews) -> CharacterOwner:
    """Whose LoRA it is: another tenant's character of the same id is another one."""
    return news.tenant, news.character_id


def call(received: Received[LoraNews], job: Document) -> Outgoing:
    """Look at this job: the same call whenever the same news come again."""
    due_at = min(received.message.at, received.at)
    due = JobDue(job_id=job["_id"], due_at=due_at, character_id=job["character_id"], tenant=job["tenant"])
    return Outgoing(due, job.get("trace"), (received.topic, received.partition))
