"""Settings → clients → routes → run."""

from functools import partial

from prompts.catalogue import default_catalogue
from services.api.app import build
from services.api.intake import Intake
from services.api.reading import Reading
from services.api.reading_chains import ChainReading
from services.api.settings import Settings
from services.api.store import (
    SUBMISSION_INDEXES,
    WISH_INDEXES,
    MongoAssets,
    MongoJobs,
    MongoStories,
    MongoSubmissions,
    MongoWishes,
)
from shared import clock, mongo
from shared.outbox import MongoOutboxStore, Outbox
from shared.process import main
from shared.s3 import open_bucket
from shared.service import Service
from shared.settings import KafkaSettings, MongoSettings, ProcessSettings, S3Settings, read_settings

PATIENCE_SECONDS = 5.0
"""With the database: a caller who waits is rather told to come back."""


async def serve(kafka: KafkaSettings, process: ProcessSettings) -> None:
    """Run one api."""
    settings = read_settings(Settings)
    async with (
        Service("api", kafka, process, wait_for_broker=False) as service,
        mongo.connect(
            read_settings(MongoSettings), service.waits_for, patience_seconds=PATIENCE_SECONDS
        ) as database,
        open_bucket(read_settings(S3Settings), service.waits_for) as bucket,
    ):
        await mongo.ensure_indexes(database["submissions"], *SUBMISSION_INDEXES, report=service.waits_for)
        await mongo.ensure_indexes(database["wishes"], *WISH_INDEXES, report=service.waits_for)
        service.health.add("mongo", partial(mongo.ping, database))
        jobs, submissions = MongoJobs(database["jobs"]), MongoSubmissions(database["submissions"])
        outboxes = (
            Outbox(MongoOutboxStore(database["submissions"]), service.publisher),
            Outbox(MongoOutboxStore(database["wishes"]), service.publisher),
        )
        for outbox in outboxes:
            service.background("outbox", outbox.run)
        stories = MongoStories(database["chains"], database["characters"])
        wishes, assets = MongoWishes(database["wishes"]), MongoAssets(database["assets"])
        build(
            service.http,
            Intake(jobs, stories, submissions, wishes, outboxes, clock.now, default_catalogue()),
            Reading(jobs, submissions, assets, bucket, clock.now, settings.link_seconds),
            ChainReading(stories, submissions),
        )
        await service.run()


if __name__ == "__main__":
    main("api", serve)
