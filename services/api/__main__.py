"""Entry point: read settings, open clients, build routes, run."""

import asyncio
from functools import partial

from prompts.loading import load_catalogue_and_filters
from services.api.app import build
from services.api.chain_queries import ChainQueries
from services.api.job_queries import JobQueries
from services.api.settings import Settings
from services.api.store import (
    COMMAND_INDEXES,
    SUBMISSION_INDEXES,
    MongoAssets,
    MongoChainStore,
    MongoCommands,
    MongoJobs,
    MongoSubmissions,
)
from services.api.submission_service import SubmissionService
from shared import clock, mongo
from shared.outbox import MongoOutboxStore, Outbox
from shared.process import main
from shared.s3 import open_bucket
from shared.service import Service
from shared.settings import KafkaSettings, MongoSettings, ProcessSettings, S3Settings, read_settings

DATABASE_WAIT_SECONDS = 5.0
"""Time to wait for the database before a request is answered with 503."""


async def serve(kafka: KafkaSettings, process: ProcessSettings) -> None:
    """Run one api."""
    settings = read_settings(Settings)
    async with (
        Service("api", kafka, process, wait_for_broker=False) as service,
        mongo.connect(
            read_settings(MongoSettings), service.waits_for, patience_seconds=DATABASE_WAIT_SECONDS
        ) as database,
        open_bucket(read_settings(S3Settings), service.waits_for) as bucket,
    ):
        await mongo.ensure_indexes(database["submissions"], *SUBMISSION_INDEXES, report=service.waits_for)
        await mongo.ensure_indexes(database["commands"], *COMMAND_INDEXES, report=service.waits_for)
        service.health.add("mongo", partial(mongo.ping, database))
        jobs, submissions = MongoJobs(database["jobs"]), MongoSubmissions(database["submissions"])
        outboxes = (
            Outbox(MongoOutboxStore(database["submissions"]), service.publisher),
            Outbox(MongoOutboxStore(database["commands"]), service.publisher),
        )
        for outbox in outboxes:
            service.background("outbox", outbox.run)
        chains = MongoChainStore(database["chains"], database["characters"])
        commands, assets = MongoCommands(database["commands"]), MongoAssets(database["assets"])
        catalogue = await asyncio.to_thread(load_catalogue_and_filters)
        submission_service = SubmissionService(
            jobs, chains, submissions, commands, outboxes, clock.now, catalogue
        )
        build(
            service.http,
            submission_service,
            JobQueries(jobs, submissions, assets, bucket, clock.now, settings.link_seconds),
            ChainQueries(chains, submissions),
        )
        await service.run()


if __name__ == "__main__":
    main("api", serve)
