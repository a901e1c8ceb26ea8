"""A provider that does what the machine wants of each call, and never lies about what it has."""

from collections.abc import Callable
from typing import Literal, get_args

from contracts.base import Provider as ProviderName
from services.gateways.runtime.dialects import Dialect
from services.gateways.runtime.provider import (
    Broken,
    CannotBeAsked,
    Done,
    Handle,
    News,
    NoAnswer,
    NotTaken,
    Order,
    OutcomeUnknown,
    Payload,
    Provider,
    Refused,
    Working,
)
from tests.fakes.provider import DONE
from tests.unit.model.reference import ReferenceSubmissions

Mood = Literal[
    "well",
    "working",
    "answer_lost",
    "arrives_late",
    "never_arrives",
    "busy",
    "refuses",
    "breaks",
    "nsfw",
    "silent",
]
MOODS: tuple[Mood, ...] = get_args(Mood)
Fault = Literal["prepare", "submit", "sent", "poll", "write", "say"]
"""Where a step breaks off: before the intent, after it, after sending, after a poll; by a write or a send."""
FAULTS: tuple[Fault, ...] = get_args(Fault)

ON_ITS_WAY = 4.0
"""Seconds that a request may still take to arrive after its sender has lost it."""
STOPPED = Broken("cancelled", "stopped", False, "yes")
ENDS: dict[Mood, News] = {
    "breaks": Broken("provider_error", "out of memory", True, "yes"),
    "nsfw": Broken("nsfw", "not safe for work", False, "yes"),
}


class Interrupted(Exception):
    """A step ends here: its process dies, or goes on as after a bug."""


class ModelProvider(Provider):
    """Fal cannot be asked for what it has; the others can."""

    def __init__(self, name: ProviderName, clock: Callable[[], float], sent: ReferenceSubmissions) -> None:
        self.name = name
        self.can_be_asked = name != "fal"
        self.mood: Mood = "well"
        self.fault: Fault | None = None
        self._clock = clock
        self._sent = sent
        self._arrived: dict[str, float] = {}
        self._ends: dict[str, News] = {}

    def has(self, attempt_id: str) -> bool:
        """Whether it has taken this."""
        return self._arrived.get(attempt_id, self._clock() + 1) <= self._clock()

    @property
    def taken(self) -> list[str]:
        """What it wants money for."""
        return [attempt_id for attempt_id in self._arrived if self.has(attempt_id)]

    def dialect(self, order: Order) -> Dialect:
        return "prose"

    async def prepare(self, order: Order) -> Payload:
        self._break_at("prepare")
        return {}

    async def submit(self, order: Order, payload: Payload) -> Handle:
        self._break_at("submit")
        assert self._sent.may_be_sent(order.attempt_id), f"{order.attempt_id} must not be sent"
        match self.mood:
            case "busy":
                raise NotTaken("provider_busy", "429")
            case "refuses":
                raise Refused("invalid_request", "422")
            case "never_arrives":
                raise OutcomeUnknown("reset")
        self._sent.taken.add(order.attempt_id)
        self._arrived[order.attempt_id] = self._clock() + (ON_ITS_WAY if self.mood == "arrives_late" else 0)
        self._break_at("sent")
        if self.mood in ("answer_lost", "arrives_late"):
            raise OutcomeUnknown("reset")
        return handle_of(order.attempt_id)

    async def find(self, order: Order) -> Handle | None:
        if not self.can_be_asked:
            raise CannotBeAsked("fal")
        if self.mood == "silent":
            raise NoAnswer("502")
        return handle_of(order.attempt_id) if self.has(order.attempt_id) else None

    def finds_again(self, handle: Handle) -> bool:
        return self.can_be_asked

    async def poll(self, order: Order, handle: Handle) -> News:
        if self.mood == "silent":
            raise NoAnswer("502")
        if self.mood == "working" and handle["id"] not in self._ends:
            return Working("running", percent=40)
        end = self._ends.setdefault(handle["id"], ENDS.get(self.mood, Done(DONE.outputs, cost_usd=0.02)))
        self._break_at("poll")
        return end

    async def cancel(self, order: Order, handle: Handle) -> None:
        if self.mood != "well":  # else it ends all the same
            self._ends.setdefault(handle["id"], STOPPED)

    def _break_at(self, fault: Fault) -> None:
        if self.fault == fault:
            raise Interrupted(fault)


def handle_of(attempt_id: str) -> Handle:
    """What this provider answers to a submission."""
    return {"id": f"external-{attempt_id}"}
