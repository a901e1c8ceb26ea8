"""Settings → clients → handlers → run."""

from functools import partial

from pymongo import IndexModel

from contracts.operations import ProviderHealth
from services.dispatcher.character_reader import MongoCharacterReader
from services.dispatcher.circuits import OpenCircuits
from services.dispatcher.handlers import handlers
from services.dispatcher.job_record import JobRecord
from services.dispatcher.policies import load_policies
from services.dispatcher.timers import job_timers
from services.dispatcher.wakeups import WAITING_INDEX, wakeups
from shared import clock, mongo
from shared.kafka.broadcast import Broadcast
from shared.mongo.documents import MongoDocuments
from shared.process import main
from shared.service import Service
from shared.settings import KafkaSettings, MongoSettings, ProcessSettings, read_settings

INDEXES = (
    mongo.due_index("wake_at"),
    IndexModel([("tenant", 1), ("requested_at", -1), ("_id", -1)]),
    IndexModel([("tenant", 1), ("status", 1), ("requested_at", -1), ("_id", -1)]),
    IndexModel([("tenant", 1), ("user_id", 1), ("updated_at", 1)]),
    WAITING_INDEX,
)


async def serve(kafka: KafkaSettings, process: ProcessSettings) -> None:
    """Run one dispatcher."""
    async with (
        Service("dispatcher", kafka, process) as service,
        mongo.connect(read_settings(MongoSettings), service.waits_for) as database,
    ):
        await mongo.ensure_indexes(database["jobs"], *INDEXES, report=service.waits_for)
        service.health.add("mongo", partial(mongo.ping, database))
        circuits = OpenCircuits(database["provider_health"])
        health_events = Broadcast(
            kafka,
            [ProviderHealth],
            on_messages=circuits.receive,
            on_positioned=circuits.catch_up,
            service=service.name,
        )
        jobs = MongoDocuments(database["jobs"], JobRecord)
        characters = MongoCharacterReader(database["characters"], database["chains"], database["selections"])
        handlers(service.subscribe, jobs, characters, load_policies(), clock.now, lambda: circuits.down)
        wakeups(service.subscribe, database["jobs"])
        service.background("circuits", circuits.run)
        service.background("provider health", health_events.run)
        service.health.add("provider health", health_events.problem, vital=False)
        service.background("timers", job_timers(database["jobs"], service.publisher).run)
        await service.run()


if __name__ == "__main__":
    main("dispatcher", serve)
