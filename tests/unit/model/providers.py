"""A provider that does what the machine wants of each call, and never lies about what it has."""

from collections.abc import Callable
from typing import Literal, get_args

from contracts.base import Provider as ProviderName
from services.gateways.kit.dialects import Dialect
from services.gateways.kit.provider import (
    AttemptRequest,
    AttemptStatus,
    Completed,
    Failed,
    InProgress,
    NotAccepted,
    OutcomeUnknown,
    Payload,
    Provider,
    Rejected,
    StatusUnavailable,
    SubmissionRef,
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
STOPPED = Failed("cancelled", "stopped", False, "yes")
ENDS: dict[Mood, AttemptStatus] = {
    "breaks": Failed("provider_error", "out of memory", True, "yes"),
    "nsfw": Failed("nsfw", "not safe for work", False, "yes"),
}


class Interrupted(Exception):
    """A step ends here: its process dies, or goes on as after a bug."""


class ModelProvider(Provider):
    """A provider without a lookup, as Fal."""

    def __init__(self, name: ProviderName, clock: Callable[[], float], sent: ReferenceSubmissions) -> None:
        self.name = name
        self.mood: Mood = "well"
        self.fault: Fault | None = None
        self._clock = clock
        self._sent = sent
        self._arrived: dict[str, float] = {}
        self._ends: dict[str, AttemptStatus] = {}

    def has(self, attempt_id: str) -> bool:
        """Return whether it has accepted this attempt."""
        return self._arrived.get(attempt_id, self._clock() + 1) <= self._clock()

    @property
    def taken(self) -> list[str]:
        """Return the attempts that it bills."""
        return [attempt_id for attempt_id in self._arrived if self.has(attempt_id)]

    def dialect(self, request: AttemptRequest) -> Dialect:
        return "prose"

    async def prepare(self, request: AttemptRequest) -> Payload:
        self._break_at("prepare")
        return {}

    async def submit(self, request: AttemptRequest, payload: Payload) -> SubmissionRef:
        self._break_at("submit")
        assert self._sent.may_be_sent(request.attempt_id), f"{request.attempt_id} must not be sent"
        match self.mood:
            case "busy":
                raise NotAccepted("provider_busy", "429")
            case "refuses":
                raise Rejected("invalid_request", "422")
            case "never_arrives":
                raise OutcomeUnknown("reset")
        self._sent.taken.add(request.attempt_id)
        self._arrived[request.attempt_id] = self._clock() + (ON_ITS_WAY if self.mood == "arrives_late" else 0)
        self._break_at("sent")
        if self.mood in ("answer_lost", "arrives_late"):
            raise OutcomeUnknown("reset")
        return ref_of(request.attempt_id)

    async def poll(self, request: AttemptRequest, ref: SubmissionRef) -> AttemptStatus:
        if self.mood == "silent":
            raise StatusUnavailable("502")
        if self.mood == "working" and ref["id"] not in self._ends:
            return InProgress("running", percent=40)
        end = self._ends.setdefault(ref["id"], ENDS.get(self.mood, Completed(DONE.outputs, cost_usd=0.02)))
        self._break_at("poll")
        return end

    async def cancel(self, request: AttemptRequest, ref: SubmissionRef) -> None:
        if self.mood != "well":  # else it ends all the same
            self._ends.setdefault(ref["id"], STOPPED)

    def _break_at(self, fault: Fault) -> None:
        if self.fault == fault:
            raise Interrupted(fault)


class ModelLookupProvider(ModelProvider):
    """A provider that can be asked for a submission, as Modal and ComfyUI."""

    async def find(self, request: AttemptRequest) -> SubmissionRef | None:
        if self.mood == "silent":
            raise StatusUnavailable("502")
        return ref_of(request.attempt_id) if self.has(request.attempt_id) else None

    def is_recoverable(self, ref: SubmissionRef) -> bool:
        return True


def a_provider(name: ProviderName, clock: Callable[[], float], sent: ReferenceSubmissions) -> ModelProvider:
    return (ModelProvider if name == "fal" else ModelLookupProvider)(name, clock, sent)


def ref_of(attempt_id: str) -> SubmissionRef:
    """Return this provider's answer to a submission."""
    return {"id": f"external-{attempt_id}"}
