"""Entry point: read settings, open clients, declare handlers, run."""

from functools import partial

from services.result_store.assets import INDEXES, MongoAssets
from services.result_store.fetching import HttpFetch, sources
from services.result_store.handlers import Results, handlers
from services.result_store.image_store import ImageStore
from services.result_store.images import Limits
from services.result_store.lora_store import LoraStore
from services.result_store.pending_outputs import PendingOutputs
from services.result_store.previews import MissingPreviews
from services.result_store.settings import ComfyUIOutputs, FalOutputs, ModalOutputs, ResultStoreSettings
from shared import mongo
from shared.http.client import http_client
from shared.outbox import MongoOutboxStore, Outbox
from shared.process import main
from shared.s3 import open_bucket
from shared.service import Service
from shared.settings import KafkaSettings, MongoSettings, ProcessSettings, S3Settings, read_settings

TRAININGS_AT_ONCE = 2


async def serve(kafka: KafkaSettings, process: ProcessSettings) -> None:
    """Run one result-store."""
    settings = read_settings(ResultStoreSettings)
    places = sources(read_settings(ModalOutputs), read_settings(ComfyUIOutputs), read_settings(FalOutputs))
    kafka = kafka.model_copy(update={"batch_records": min(kafka.batch_records, settings.batch_records)})
    limits = Limits(max_bytes=settings.max_bytes, max_pixels=settings.max_pixels)
    async with (
        Service("result-store", kafka, process) as service,
        mongo.connect(read_settings(MongoSettings), service.waits_for) as database,
        open_bucket(read_settings(S3Settings), service.waits_for) as bucket,
        http_client(timeout_seconds=settings.fetch_seconds) as http,
    ):
        await mongo.ensure_indexes(database["assets"], *INDEXES, report=service.waits_for)
        service.health.add("mongo", partial(mongo.ping, database))
        assets = MongoAssets(database["assets"])
        outbox = Outbox(MongoOutboxStore(database["assets"]), service.publisher)
        fetch = HttpFetch(http, places, settings.max_bytes)
        image_store = ImageStore(fetch, bucket, limits)
        images = PendingOutputs(
            assets, image_store, bucket, outbox, fetch_seconds=settings.slow_fetch_seconds
        )
        trainings = PendingOutputs(
            assets,
            LoraStore(fetch, bucket, settings.lora_max_bytes),
            bucket,
            outbox,
            fetch_seconds=settings.lora_fetch_seconds,
            kind="lora_training",
            at_once=1,
        )
        results = Results(
            assets,
            image_store,
            bucket,
            fetch_seconds=settings.fetch_seconds,
            fetches_at_once=settings.fetches_at_once,
        )
        previews = MissingPreviews(assets, bucket, limits)
        handlers(service.subscribe, results)
        service.background("pending images", images.run)
        for _ in range(TRAININGS_AT_ONCE):
            service.background("pending trainings", trainings.run)
        service.background("missing previews", previews.run)
        service.background("outbox", outbox.run)
        await service.run()


if __name__ == "__main__":
    main("result-store", serve)
