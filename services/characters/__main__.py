"""Settings → clients → handlers → run."""

from functools import partial

from pymongo import IndexModel

from services.characters.chain_progress import ChainRecord
from services.characters.handlers import handlers
from services.characters.job_reader import MongoJobReader
from services.characters.policies import load_policies
from services.characters.records import Record
from services.characters.selections import PendingSelections
from services.characters.timers import selection_timers
from shared import mongo
from shared.mongo.documents import MongoDocuments
from shared.process import main
from shared.service import Service
from shared.settings import KafkaSettings, MongoSettings, ProcessSettings, read_settings

INDEXES = (IndexModel([("tenant", 1), ("created_at", -1), ("character_id", -1)]),)
"""Of `characters`, for the api's list."""
RUNNING = {"state": "running"}
CHAIN_INDEXES = (IndexModel([("character_id", 1), ("state", 1)], partialFilterExpression=RUNNING),)
"""Of `chains`: the running ones of a character, for jobs that wait for its LoRA."""


async def serve(kafka: KafkaSettings, process: ProcessSettings) -> None:
    """Run one instance of the characters service."""
    async with (
        Service("characters", kafka, process) as service,
        mongo.connect(read_settings(MongoSettings), service.waits_for) as database,
    ):
        await mongo.ensure_indexes(database["characters"], *INDEXES, report=service.waits_for)
        await mongo.ensure_indexes(database["chains"], *CHAIN_INDEXES, report=service.waits_for)
        await mongo.ensure_indexes(
            database["selections"], mongo.due_index("wake_at"), report=service.waits_for
        )
        service.health.add("mongo", partial(mongo.ping, database))
        handlers(
            service.subscribe,
            MongoDocuments(database["characters"], Record),
            MongoDocuments(database["chains"], ChainRecord),
            MongoDocuments(database["selections"], PendingSelections),
            MongoJobReader(database["jobs"]),
            load_policies(),
        )
        service.background("timers", selection_timers(database["selections"], service.publisher).run)
        await service.run()


if __name__ == "__main__":
    main("characters", serve)
