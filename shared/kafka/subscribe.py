"""Types of handlers, and of the decorator that ties a handler to its message types."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Protocol, TypeVar, get_args

from aiokafka import ConsumerRecord
from typing_extensions import TypeForm

from contracts.base import Message
from shared.envelope import Outgoing, Received
from shared.kafka.decoding import Unreadable

M = TypeVar("M", bound=Message)

Handler = Callable[[Sequence[Received[M]]], Awaitable[Iterable[Outgoing]]]
"""Takes valid messages, in order per key, and returns outputs. It may be called again with the same batch."""
OnUnreadable = Callable[[ConsumerRecord, Unreadable], Message | None]
"""Returns the answer to an invalid record. None: the record becomes a dead letter."""
OnFailed = Callable[[Received[M], Exception], Message | None]
"""Returns the answer to a message that the handler cannot handle. None: it becomes a dead letter."""


class Subscribe(Protocol):
    """Declare a handler for message types, given as a type or a union: `subscribe(A | B, group="g")`."""

    def __call__(
        self,
        kinds: TypeForm[M],
        /,
        *,
        group: str,
        topics: Sequence[str] = (),
        on_unreadable: OnUnreadable | None = None,
        on_failed: OnFailed[M] | None = None,
        answered_elsewhere: Collection[type[Message]] = (),
    ) -> Callable[[Handler[M]], Handler[M]]:
        """Return a decorator for the handler; instances of a service with the same group share the topics.

        Args:
            topics: some of the topics, for message types that have several.
            on_unreadable: answers an invalid record.
            on_failed: answers a message that the handler cannot handle.
            answered_elsewhere: message types whose invalid records another service answers.
        """


def message_types(kinds: TypeForm[Message]) -> tuple[type[Message], ...]:
    """Return the message types of a union, or the one type."""
    return get_args(kinds) or (kinds,)
