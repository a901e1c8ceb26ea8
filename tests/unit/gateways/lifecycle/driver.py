"""Drive `advance` with scripted observations, without an executor: time passes only while it waits."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.base import Provider
from services.gateways.kit.provider import AttemptStatus, StatusUnavailable
from services.gateways.runtime.lifecycle.advance import advance
from services.gateways.runtime.lifecycle.attempt import Attempt, Facts, State
from services.gateways.runtime.lifecycle.decisions import (
    Action,
    Decision,
    End,
    Poll,
    Prepare,
    PublishSuccess,
    Resolve,
    SaveRef,
    Send,
    Wait,
    WriteIntent,
)
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from services.gateways.runtime.lifecycle.observations import (
    Accepted,
    Due,
    IntentWritten,
    LookupNotFound,
    LookupUnsupported,
    Observation,
    Polled,
    Prepared,
    SuccessPublished,
)
from tests.fakes.provider import a_command

START = datetime(2030, 1, 1, tzinfo=UTC)
REF = {"id": "external"}
LEASE = 10.0
MAX_DECISIONS = 400


def an_attempt(state: State = "accepted", *, cancel: bool = False, **fields: Any) -> Attempt:
    """Return an attempt with a deadline five minutes after the start; `fields` may be facts or command's."""
    names = Facts.__dataclass_fields__
    facts = Facts(state, **{name: fields.pop(name) for name in list(fields) if name in names})
    submitting_at = fields.pop("submitting_at", None)
    deadline = fields.pop("deadline_at", START + timedelta(minutes=5))
    saved_ref = fields.pop("saved_ref", facts.ref)
    command = a_command(deadline_at=deadline, **fields)
    return Attempt(
        command, None, facts=facts, submitting_at=submitting_at, saved_ref=saved_ref, cancel=cancel
    )


def decide(attempt: Attempt, observation: Observation, at: float = 0.0, **limits: Any) -> Decision:
    """Call `advance` a number of seconds after the start."""
    return advance(attempt, observation, ProviderLimits(**limits), START + timedelta(seconds=at))


@dataclass
class Script:
    """Answers of a provider; the last of each list is repeated."""

    send: Sequence[Observation] = ()
    find: Sequence[Observation] = ()
    poll: Sequence[AttemptStatus | StatusUnavailable] = ()
    cancel_after: type[Action] | None = None
    """A cancel is requested after the first action of this kind."""


@dataclass
class Driver:
    """Carries out decisions by the script until the attempt ends."""

    attempt: Attempt
    script: Script
    limits: ProviderLimits
    now: datetime = START
    sent: int = 0
    actions: list[Action] = field(default_factory=list)

    def run(self) -> End:
        """Return the end."""
        observation: Observation = Due()
        for _ in range(MAX_DECISIONS):
            decision = advance(self.attempt, observation, self.limits, self.now)
            self.attempt.facts = decision.facts
            result = self._carry_out(decision.actions)
            if isinstance(result, End):
                return result
            observation = result
        raise AssertionError(f"no end after {MAX_DECISIONS} decisions")

    def _carry_out(self, actions: tuple[Action, ...]) -> Observation | End:
        result: Observation | End | None = None
        for action in actions:
            result = self._do(action)
            self.actions.append(action)
            if isinstance(action, self.script.cancel_after or ()):
                self.attempt.cancel = True
        assert result is not None, actions
        return result

    def _do(self, action: Action) -> Observation | End | None:
        match action:
            case Prepare():
                return Prepared(LEASE)
            case WriteIntent():
                self.attempt.submitting_at = self.now
                return IntentWritten(LEASE)
            case Send():
                self.sent += 1
                answer: Observation = self._next("send")
                return answer
            case Resolve():
                found: Observation = self._next("find")
                return found
            case Poll():
                status = self._next("poll")
                return status if isinstance(status, StatusUnavailable) else Polled(status, LEASE)
            case SaveRef():
                self.attempt.saved_ref = self.attempt.ref
            case PublishSuccess(completed, message):
                return SuccessPublished(completed, message, True)
            case Wait(_, latest):
                self.now += timedelta(seconds=latest)
                return Due()
            case End():
                return action
        return None

    def _next(self, name: str) -> Any:
        answers = list(getattr(self.script, name))
        assert answers, f"the script has no answer to {name}"
        if len(answers) > 1:
            setattr(self.script, name, answers[1:])
        return answers[0]


def accepted(provider: Provider = "modal") -> Accepted:
    return Accepted(REF, recoverable=provider != "fal")


UNSUPPORTED, ABSENT = LookupUnsupported(), LookupNotFound()
