"""For operators and the books: ledger entries, provider health, dead letters."""

from typing import ClassVar, Literal

from pydantic import Field

from contracts.base import Line, Message, Moment, Provider
from contracts.renders import AttemptMessage, Billed


class AttemptSettled(AttemptMessage):
    """What became of an attempt that no one waits for. Produced by gateways, consumed by analytics.

    Said of a cancelled attempt that was or may have been billed, and of any whose end its provider
    told only after we had given it up. The last one said of an attempt holds.
    """

    topic: ClassVar[str] = "attempt.settled.v1"
    identity: ClassVar[tuple[str, ...]] = ("attempt_id", "outcome", "at")

    outcome: Literal["succeeded", "failed", "cancelled"]
    billed: Billed
    cost_usd: float | None = None


class ProviderHealth(Message):
    """A circuit breaker moved. Produced by gateways, consumed by every dispatcher instance.

    Each process of a gateway has a breaker of its own. A provider is passed over while one is open.
    """

    topic: ClassVar[str] = "provider.health.v1"
    key: ClassVar[str] = "provider"
    identity: ClassVar[tuple[str, ...]] = ("breaker", "at")

    provider: Provider
    instance: str = ""
    """The gateway's process; earlier ones did not tell."""
    state: Literal["open", "half_open", "closed"]
    reason: str
    at: Moment

    @property
    def breaker(self) -> str:
        """`{provider}/{instance}`."""
        return f"{self.provider}/{self.instance}" if self.instance else self.provider


class DeadLetter(Message):
    """What could not be handled, with its reason. Produced by every service, consumed by operators.

    The record's key, headers and value are kept as they were (bytes as base64).
    """

    topic: ClassVar[str] = "dead-letters.v1"
    key: ClassVar[str] = "original_key"
    identity: ClassVar[tuple[str, ...]] = (
        "service",
        "original_topic",
        "original_partition",
        "original_offset",
    )

    service: str
    reason: str
    """A short code: `not_json`, `invalid`, `wrong_type`, `handler_failed`, `job_id_conflict`."""
    error: str
    """What is wrong, where, and what to do."""
    original_topic: str
    original_partition: int
    original_offset: int
    original_key: str
    original_headers: dict[str, str]
    original_value: str
    """Base64."""
    cut: bool = False
    """Whether the value was too large to be kept whole: it can be read at its origin only."""
    attempts: int = Field(default=1, ge=1)
    """How often the service was given the record: one more with each replay."""
    at: Moment


class DeadLetterResolved(Message):
    """What was done about a dead letter. Produced by operators; consumed by operators."""

    topic: ClassVar[str] = "dead-letters.resolved.v1"
    key: ClassVar[str] = "letter_id"
    identity: ClassVar[tuple[str, ...]] = ("letter_id", "action")

    letter_id: str
    """The dead letter's CloudEvents id."""
    action: Literal["replayed", "dropped"]
    note: Line = ""
    at: Moment
