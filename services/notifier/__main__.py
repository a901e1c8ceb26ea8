"""Entry point: read settings, open clients, declare handlers and streams, run."""

from functools import partial

from contracts.jobs import JobEvent
from services.notifier.app import build
from services.notifier.broadcaster import Broadcaster
from services.notifier.handlers import handlers
from services.notifier.links import LinkedEvents
from services.notifier.posting import Poster, webhook_client
from services.notifier.routes import routes
from services.notifier.settings import Settings
from services.notifier.sse import SseEncoder
from services.notifier.store import (
    DELIVERY_INDEXES,
    ENDPOINT_INDEXES,
    MongoDeliveries,
    MongoEndpoints,
    MongoJobs,
    MongoSubmissions,
)
from services.notifier.webhook_dispatcher import WebhookDispatcher
from services.notifier.webhook_routes import webhook_routes
from shared import clock, mongo
from shared.kafka.broadcast import Broadcast
from shared.process import main
from shared.s3 import open_bucket
from shared.service import Service
from shared.settings import KafkaSettings, MongoSettings, ProcessSettings, S3Settings, read_settings


async def serve(kafka: KafkaSettings, process: ProcessSettings) -> None:
    """Run one notifier."""
    settings = read_settings(Settings)
    async with (
        Service("notifier", kafka, process) as service,
        mongo.connect(read_settings(MongoSettings), service.waits_for) as database,
        open_bucket(read_settings(S3Settings), service.waits_for) as bucket,
        webhook_client(
            private_hosts=settings.allow_private_hosts, connections=settings.concurrency
        ) as client,
    ):
        await mongo.ensure_indexes(database["deliveries"], *DELIVERY_INDEXES, report=service.waits_for)
        await mongo.ensure_indexes(database["endpoints"], *ENDPOINT_INDEXES, report=service.waits_for)
        jobs, deliveries = MongoJobs(database["jobs"]), MongoDeliveries(database["deliveries"])
        secret = settings.webhook_secret.get_secret_value()
        linked = LinkedEvents(bucket, clock.now, settings.link_seconds)
        poster = Poster(client, secret, linked.relinked, timeout_seconds=settings.timeout_seconds)
        endpoints = MongoEndpoints(database["endpoints"])
        dispatcher = WebhookDispatcher(
            deliveries, endpoints, poster.post, clock.now, concurrency=settings.concurrency
        )
        handlers(service.subscribe, jobs, deliveries, clock.now, dispatcher.wake)
        broadcaster = Broadcaster()
        feed = Broadcast(
            kafka,
            [JobEvent],
            on_messages=broadcaster.deliver,
            on_positioned=broadcaster.all_fall_behind,
            service=service.name,
        )
        submissions = MongoSubmissions(database["submissions"])
        webhooks = webhook_routes(deliveries, endpoints, dispatcher.wake, secret, clock.now)
        streams = routes(broadcaster, jobs, submissions, SseEncoder(linked), clock.now)
        build(service.http, streams, webhooks)
        service.health.add("mongo", partial(mongo.ping, database))
        service.health.add("events", feed.problem)
        service.background("webhooks", dispatcher.run)
        service.background("event streams", partial(feed_streams, feed, broadcaster))
        await service.run()


async def feed_streams(feed: Broadcast, broadcaster: Broadcaster) -> None:
    """Feed the open streams; end them when the process stops."""
    try:
        await feed.run()
    finally:
        broadcaster.close()


if __name__ == "__main__":
    main("notifier", serve)
