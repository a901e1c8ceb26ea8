"""A job, told message by message, at times that the test chooses."""

from typing import TypeVar

from contracts.base import Message
from contracts.jobs import JobEvent
from contracts.renders import RenderCancel, RenderRequested
from services.dispatcher.domain import JobMessage, advance
from services.dispatcher.job_record import JobRecord
from services.dispatcher.policies import Policies
from services.dispatcher.waiting import CharacterRef, KnownLora
from tests.fakes.builders import POLICIES, START, after

M = TypeVar("M", bound=Message)


class Life:
    """Applies messages to a job and keeps what the last call of `hear` made it say."""

    def __init__(self, *messages: JobMessage, policies: Policies = POLICIES) -> None:
        self.now = START
        self.stored: JobRecord | None = None
        self.said: list[Message] = []
        self.loras: dict[CharacterRef, KnownLora] = {}
        self._policies = policies
        self.hear(*messages)

    @property
    def job(self) -> JobRecord:
        assert self.stored is not None
        return self.stored

    def at(self, seconds: float) -> "Life":
        """So long after the request."""
        self.now = after(seconds)
        return self

    def hear(self, *messages: JobMessage) -> "Life":
        self.said = []
        for message in messages:
            self.stored, said = advance(
                self.stored, message, policies=self._policies, now=self.now, loras=self.loras
            )
            self.said += said
        return self

    def only(self, kind: type[M]) -> list[M]:
        return [message for message in self.said if isinstance(message, kind)]

    def events(self) -> list[str]:
        return [event.event for event in self.only(JobEvent)]

    def event(self, kind: str) -> JobEvent:
        """The one event of this kind."""
        (event,) = (event for event in self.only(JobEvent) if event.event == kind)
        return event

    def commands(self) -> list[str]:
        """The attempts that were asked for."""
        return [command.attempt_id for command in self.only(RenderRequested)]

    def stopped(self) -> list[str]:
        """The attempts that were called off."""
        return [command.attempt_id for command in self.only(RenderCancel)]
