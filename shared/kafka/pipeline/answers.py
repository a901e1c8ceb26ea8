"""Decide what is published for a record that cannot be handled: a service's answer, or a dead letter."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import ConsumerRecord

from contracts.base import Message
from shared.envelope import Outgoing, Received
from shared.errors import PermanentError
from shared.kafka.dead_letters import dead_letter
from shared.kafka.decoding import Unreadable
from shared.kafka.subscribe import OnFailed, OnUnreadable

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one subscription.

    Args:
        service: name in dead letters.
        silent: topics whose invalid records another service answers.
    """

    service: str
    on_unreadable: OnUnreadable | None = None
    on_failed: OnFailed[Any] | None = None
    silent: frozenset[str] = frozenset()

    def for_unreadable(self, record: ConsumerRecord, unreadable: Unreadable) -> Outgoing | None:
        """Return the answer to an invalid record; None when another service answers it."""
        if record.topic in self.silent:
            return None
        own = self._own(record, self.on_unreadable, record, unreadable)
        return self._outgoing(record, own, unreadable.reason, str(unreadable))

    def for_failed(self, record: ConsumerRecord, received: Received[Any], error: Exception) -> Outgoing:
        """Return the answer to a message that the handler cannot handle."""
        reason = error.reason if isinstance(error, PermanentError) else "handler_failed"
        if reason == "handler_failed":
            log.error("handler_failed", topic=record.topic, offset=record.offset, exc_info=error)
        own = self._own(record, self.on_failed, received, error)
        return self._outgoing(record, own, reason, f"{type(error).__name__}: {error}")

    def _own(
        self, record: ConsumerRecord, answer: Callable[..., Message | None] | None, *given: Any
    ) -> Message | None:
        """Return the service's own answer; one that fails does not stop the partition."""
        try:
            return answer(*given) if answer else None
        except Exception as error:
            log.error("answer_failed", topic=record.topic, offset=record.offset, exc_info=error)
            return None

    def _outgoing(self, record: ConsumerRecord, own: Message | None, reason: str, error: str) -> Outgoing:
        letter = own or dead_letter(record, service=self.service, reason=reason, error=error)
        return Outgoing(letter, cause=(record.topic, record.partition))
