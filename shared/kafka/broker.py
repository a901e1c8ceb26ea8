"""The FastStream broker of a process, with consumers of our own class."""

from collections.abc import Callable
from functools import partial

from faststream.kafka import KafkaBroker

from shared.kafka.batch_consumer import BatchConsumer, OnBroken
from shared.observability.logs import framework_logger
from shared.settings import KafkaSettings


def make_broker(service: str, kafka: KafkaSettings, graceful_seconds: float) -> KafkaBroker:
    """Return a broker that only consumes; the publisher has a producer of its own (decision 0014)."""
    return KafkaBroker(
        _servers(kafka),
        client_id=f"imagegen-{service}",
        consumer_only=True,
        apply_types=False,
        graceful_timeout=graceful_seconds,
        logger=framework_logger("faststream"),
    )


async def connect(broker: KafkaBroker, service: str, kafka: KafkaSettings, on_broken: OnBroken) -> None:
    """Connect, and let FastStream make a `BatchConsumer` for each subscriber.

    FastStream has no documented way to give the consumer's class (decision 0035).
    """
    await broker.connect()
    builder: Callable[..., BatchConsumer] = partial(
        BatchConsumer, bootstrap_servers=_servers(kafka), service=service, on_broken=on_broken
    )
    broker.config.broker_config.builder = builder


def _servers(kafka: KafkaSettings) -> list[str]:
    return kafka.bootstrap.split(",")
