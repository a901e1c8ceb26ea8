"""A prompt-builder between a fake consumer and a fake sender."""

from collections.abc import Callable, Iterable

from aiokafka import ConsumerRecord, TopicPartition

from contracts.base import Message
from contracts.generation import GenerationRequested
from prompts.catalogue import default_catalogue
from services.prompt_builder.handlers import StoredCharacter, handlers
from tests.fakes.kafka import FakeConsumer, FakeSender, a_record
from tests.fakes.subscriptions import FakeKafka

ZERO = TopicPartition(GenerationRequested.topic, 0)


class PromptBuilderHarness:
    """A prompt-builder whose reads of characters fail if the test sets `trouble`."""

    def __init__(self) -> None:
        self.sender = FakeSender([])
        self.consumer = FakeConsumer([], {ZERO})
        self.trouble: Callable[[], Exception] | None = None
        self._kafka = FakeKafka(self.sender)
        handlers(self._kafka.subscribe, self, default_catalogue())

    async def find(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], StoredCharacter]:
        if self.trouble:
            raise self.trouble()
        return {}

    async def consume(self, *records: ConsumerRecord) -> None:
        """Handle one batch."""
        await self._kafka.deliver(records, self.consumer)

    async def receive(self, message: Message) -> list[str]:
        """Handle one message and return the topics of the outputs."""
        await self.consume(a_record(message, offset=7))
        return [envelope.topic for envelope in self.sender.sent]
