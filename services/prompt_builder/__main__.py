"""Settings → clients → handlers → run."""

import asyncio
from functools import partial

from prompts.loading import load_catalogue_and_filters
from services.prompt_builder.characters import MongoCharacters
from services.prompt_builder.handlers import handlers
from shared import mongo
from shared.process import main
from shared.service import Service
from shared.settings import KafkaSettings, MongoSettings, ProcessSettings, read_settings


async def serve(kafka: KafkaSettings, process: ProcessSettings) -> None:
    """Run one prompt-builder."""
    async with (
        Service("prompt-builder", kafka, process) as service,
        mongo.connect(read_settings(MongoSettings), service.waits_for) as database,
    ):
        service.health.add("mongo", partial(mongo.ping, database))
        catalogue = await asyncio.to_thread(load_catalogue_and_filters)
        handlers(service.subscribe, MongoCharacters(database["characters"]), catalogue)
        await service.run()


if __name__ == "__main__":
    main("prompt-builder", serve)
