"""Messages for operators and accounting: ledger entries, provider health, dead letters."""

from typing import ClassVar, Literal

from pydantic import Field

from contracts.base import Line, Message, Moment, Provider
from contracts.renders import AttemptMessage, Billed


class AttemptSettled(AttemptMessage):
    """The outcome of an attempt that no job waits for. Produced by gateways, consumed by analytics.

    Published for a cancelled attempt that was or may have been billed, and for an attempt whose outcome
    became known only after it was given up. The last message of an attempt takes effect.
    """

    topic: ClassVar[str] = "attempt.settled.v1"
    identity: ClassVar[tuple[str, ...]] = ("attempt_id", "outcome", "at")

    outcome: Literal["succeeded", "failed", "cancelled"]
    billed: Billed
    cost_usd: float | None = None


class ProviderHealth(Message):
    """A circuit breaker changed its state. Produced by gateways, consumed by every dispatcher instance.

    Each process of a gateway has its own breaker. The dispatcher skips a provider while one is open.
    """

    topic: ClassVar[str] = "provider.health.v1"
    key: ClassVar[str] = "provider"
    identity: ClassVar[tuple[str, ...]] = ("breaker", "at")

    provider: Provider
    instance: str = ""
    """Process of the gateway. Empty in messages of earlier versions."""
    state: Literal["open", "half_open", "closed"]
    reason: str
    at: Moment

    @property
    def breaker(self) -> str:
        """Id of the breaker, `{provider}/{instance}`."""
        return f"{self.provider}/{self.instance}" if self.instance else self.provider


class DeadLetter(Message):
    """A record that could not be handled. Produced by every service, consumed by operators.

    The key, headers and value of the record are kept unchanged (bytes as base64).
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
    """Error, its place in the record, and the remedy."""
    original_topic: str
    original_partition: int
    original_offset: int
    original_key: str
    original_headers: dict[str, str]
    original_value: str
    """Base64."""
    cut: bool = False
    """True if the value was too large and is incomplete. The original topic has all of it."""
    attempts: int = Field(default=1, ge=1)
    """Number of times the service received the record, including replays."""
    at: Moment


class DeadLetterResolved(Message):
    """A dead letter was replayed or dropped. Produced by operators; consumed by operators."""

    topic: ClassVar[str] = "dead-letters.resolved.v1"
    key: ClassVar[str] = "letter_id"
    identity: ClassVar[tuple[str, ...]] = ("letter_id", "action")

    letter_id: str
    """CloudEvents id of the dead letter."""
    action: Literal["replayed", "dropped"]
    note: Line = ""
    at: Moment
