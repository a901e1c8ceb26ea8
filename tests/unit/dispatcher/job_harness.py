"""A job that receives messages one by one, at times that the test chooses."""

from typing import TypeVar

from contracts.base import Message
from contracts.jobs import JobEvent
from contracts.renders import RenderCancel, RenderRequested
from services.dispatcher.domain import JobMessage, advance
from services.dispatcher.job_record import JobRecord
from services.dispatcher.lora_waits import CharacterRef, CharacterState
from services.dispatcher.policies import Policies
from tests.fakes.builders import POLICIES, START, after

M = TypeVar("M", bound=Message)


class JobHarness:
    """Applies messages to a job and keeps the outputs of the last call of `receive`."""

    def __init__(self, *messages: JobMessage, policies: Policies = POLICIES) -> None:
        self.now = START
        self.stored: JobRecord | None = None
        self.outputs: list[Message] = []
        self.characters: dict[CharacterRef, CharacterState] = {}
        self._policies = policies
        self.receive(*messages)

    @property
    def job(self) -> JobRecord:
        assert self.stored is not None
        return self.stored

    def at(self, seconds: float) -> "JobHarness":
        """Set the clock to this many seconds after the request."""
        self.now = after(seconds)
        return self

    def receive(self, *messages: JobMessage) -> "JobHarness":
        self.outputs = []
        for message in messages:
            self.stored, said = advance(
                self.stored, message, policies=self._policies, now=self.now, characters=self.characters
            )
            self.outputs += said
        return self

    def only(self, kind: type[M]) -> list[M]:
        return [message for message in self.outputs if isinstance(message, kind)]

    def events(self) -> list[str]:
        return [event.event for event in self.only(JobEvent)]

    def event(self, kind: str) -> JobEvent:
        """Return the only event of this kind."""
        (event,) = (event for event in self.only(JobEvent) if event.event == kind)
        return event

    def commands(self) -> list[str]:
        """Return the ids of the requested attempts."""
        return [command.attempt_id for command in self.only(RenderRequested)]

    def cancelled(self) -> list[str]:
        """Return the ids of the cancelled attempts."""
        return [command.attempt_id for command in self.only(RenderCancel)]
