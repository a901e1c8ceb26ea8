"""Settings → clients → handlers → run."""

from functools import partial

from prompts.catalogue import default_catalogue
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
        handlers(service.subscribe, MongoCharacters(database["characters"]), default_catalogue())
        await service.run()


if __name__ == "__main__":
    main("prompt-builder", serve)
