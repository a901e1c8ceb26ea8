"""Create topics on the broker, with the retention of the contracts and the partitions of the settings."""

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from contracts.catalog import TOPICS, Topic
from shared.limits import MAX_MESSAGE_BYTES
from shared.settings import KafkaSettings
from shared.waiting import Report, unreported, wait_until_up


async def ensure_topics(settings: KafkaSettings, report: Report = unreported) -> None:
    """Create the missing topics. Several processes may do so at once.

    Raises:
        StartupError: if the broker does not answer within `startup_seconds`.
    """

    async def create() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
        try:
            await admin.start()
            known = set(await admin.list_topics())
            missing = [topic for topic in TOPICS if topic.name not in known]
            if missing:
                await _create(admin, [_declared(topic, settings) for topic in missing])
        finally:
            await admin.close()

    await wait_until_up("Kafka", settings.bootstrap, create, seconds=settings.startup_seconds, report=report)


def _declared(topic: Topic, settings: KafkaSettings) -> NewTopic:
    return NewTopic(
        topic.name,
        num_partitions=settings.partitions,
        replication_factor=settings.replication,
        topic_configs={
            "retention.ms": str(topic.retention_seconds * 1000),
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
        },
    )


async def _create(admin: AIOKafkaAdminClient, topics: list[NewTopic]) -> None:
    response = await admin.create_topics(topics)
    for name, code, *_ in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(f"creating topic {name}")
