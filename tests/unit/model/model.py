"""The dispatcher, three gateways and a result-store around one wire that keeps no order."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from contracts.base import PROVIDERS, Message, Provider, id_of, topic_of, topics_of
from contracts.jobs import JobDue, JobEvent
from contracts.operations import AttemptSettled
from contracts.renders import (
    RenderCancel,
    RenderFailed,
    RenderProgressed,
    RenderRequested,
    RenderSucceeded,
)
from services.dispatcher.domain import JobIdConflict
from services.dispatcher.handlers import handlers
from services.dispatcher.job_record import JobRecord
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from shared.clock import now
from shared.envelope import Envelope, Received
from tests.fakes.builders import JOB, POLICIES, START, failed, stored
from tests.fakes.dispatcher import FakeCharacterReader
from tests.fakes.documents import FakeDocuments
from tests.fakes.subscriptions import Handlers
from tests.unit.model.gateways import ModelGateway, Process
from tests.unit.model.providers import Mood
from tests.unit.model.referee import Referee

T = TypeVar("T")
JOBS = (JOB, JOB[:-1] + "2")
HEARD = (RenderRequested, RenderCancel, RenderProgressed, RenderFailed, RenderSucceeded)
TOLD = (JobEvent, AttemptSettled)
KINDS: dict[str, type[Message]] = {topic: kind for kind in HEARD + TOLD for topic in topics_of(kind)}
PACE = ProviderLimits(submit_timeout=5.0, grace_period=60.0, max_submit_tries=3)
ROUNDS, ROUND_SECONDS = 100, 7.0


class ModelHarness:
    """The whole system; published messages wait in `wire` until they are delivered."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self.elapsed = 0.0
        self.wire: list[Message] = []
        self.heard: list[Message] = []
        self.unsaid: list[tuple[Received[Any], list[Envelope]]] = []
        """Messages that a dispatcher wrote before it died, with their unpublished outputs."""
        self.referee = Referee()
        self._jobs = FakeDocuments(JobRecord)
        self._offsets: dict[str, int] = defaultdict(int)
        self._winners: dict[str, str] = {}
        self._handlers = Handlers()
        handlers(
            self._handlers.subscribe,
            self._jobs,
            FakeCharacterReader(),
            POLICIES,
            lambda: self.now,
            self._down,
        )
        sent = self.referee.sent
        self.gateways = {name: ModelGateway(name, lambda: self.elapsed, sent, PACE) for name in PROVIDERS}
        for gateway in self.gateways.values():
            self.run(gateway.take_over())

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.elapsed)

    def job(self, job_id: str) -> JobRecord | None:
        return self._jobs.get(job_id)

    def run(self, deed: Awaitable[T]) -> T:
        return self._loop.run_until_complete(deed)

    def close(self) -> None:
        self._loop.close()

    def wait(self, seconds: float) -> None:
        self.elapsed += seconds
        for gateway in self.gateways.values():
            gateway.grow_older(seconds)

    def publish_due(self) -> None:
        """Do the work of the dispatcher's timers."""
        for job in filter(None, map(self.job, JOBS)):
            if job.wake_at and job.wake_at <= self.now:
                self.wire.append(JobDue(job_id=job.job_id, due_at=job.wake_at))

    def deliver(self, message: Message, *, badly: bool = False) -> None:
        """Its consumer handles it. Badly: it dies when it has written; or the result is unusable."""
        self.heard.append(message)
        match message:
            case RenderRequested():
                by = now() + (message.deadline_at - self.now)
                command = message.model_copy(update={"deadline_at": by})
                self.run(self.gateways[message.provider].accept(command, dies=badly))
            case RenderCancel():
                self.run(self.gateways[message.provider].call_off(message, dies=badly))
            case RenderSucceeded():
                self._store(message, usable=not badly)
            case _:
                self._dispatch(message, dies=badly)
        if badly and isinstance(message, RenderRequested | RenderCancel):
            self.wire.append(message)

    def publish(self, envelopes: list[Envelope]) -> None:
        """Pass published messages to the referee and to their consumers."""
        for envelope in envelopes:
            message = KINDS[envelope.topic].model_validate_json(envelope.body)
            self.referee.hears(envelope.id, envelope.body, message)
            if isinstance(message, HEARD):
                self.wire.append(message)

    def gateway_does(self, gateway: ModelGateway, deed: Awaitable[None]) -> None:
        """Run something of a gateway and pass on its messages."""
        try:
            self.run(deed)
        finally:
            said, gateway.publisher.sent = gateway.publisher.sent, []
            self.publish(said)

    def steps(self) -> list[tuple[ModelGateway, Process, Attempt]]:
        """Return the attempts that may take their next step."""
        return [(gateway, *step) for gateway in self.gateways.values() for step in gateway.steps()]

    def is_blocked(self, message: Message) -> bool:
        """Return whether an earlier message of the partition is redelivered first."""
        return topic_of(message) in {received.topic for received, _ in self.unsaid}

    def say_again(self) -> None:
        """Redeliver a message to another dispatcher, which publishes the same outputs."""
        received, outputs = self.unsaid.pop(0)
        said, changed = self._handle(received)
        assert not changed, "what was heard before changes nothing"
        job = self.job(received.message.job_id)
        if job is not None and job.terminal:  # its commands are void
            said, outputs = ([each for each in all_ if not _is_command(each)] for all_ in (said, outputs))
        assert said == outputs, "what is said again is the same, byte for byte"
        self.publish(said)

    def settle(self) -> None:
        """Everything is delivered, every provider answers, and time passes, until nothing is left to do."""
        for gateway in self.gateways.values():
            del gateway.processes[:-1]
        for _ in range(ROUNDS):
            self.do_all_there_is()
            if not self._is_unfinished():
                return
            self.wait(ROUND_SECONDS)
        raise AssertionError("it never ends")

    def do_all_there_is(self, mood: Mood = "well") -> None:
        """Deliver and do everything without faults, except for the mood of the providers."""
        self.publish_due()
        while self.wire or self.unsaid:
            if self.unsaid:
                self.say_again()
            else:
                self.deliver(self.wire.pop(0))
        for gateway in self.gateways.values():
            self.gateway_does(gateway, gateway.tidy())
        for gateway, process, attempt in self.steps():
            self.gateway_does(gateway, gateway.step(process, attempt, mood))

    def _is_unfinished(self) -> bool:
        jobs = [job for job in map(self.job, JOBS) if job is not None]
        gateways = self.gateways.values()
        return bool(self.wire) or not all(job.terminal for job in jobs) or any(each.open for each in gateways)

    def _store(self, result: RenderSucceeded, *, usable: bool) -> None:
        """A result-store: the first usable output of a render wins."""
        render, _, n = result.attempt_id.rpartition("/")
        index = result.spec.index
        whose = {"attempt_id": result.attempt_id, "job_id": result.job_id, "provider": result.provider}
        if render not in self._winners and not usable:
            self.referee.sent.failed.add(result.attempt_id)
            self.wire.append(failed(index, int(n), **whose, code="output_unavailable", billed="yes"))
            return
        winner = self._winners.setdefault(render, result.attempt_id)
        self.wire.append(stored(index, int(n), **whose, duplicate=winner != result.attempt_id))

    def _dispatch(self, message: Message, *, dies: bool) -> None:
        topic = topic_of(message)
        offset = self._offsets[topic]
        self._offsets[topic] += 1
        received = Received(message, id_of(message), topic, 0, offset, self.now, None, offset)
        said, changed = self._handle(received)
        if dies and changed:
            self.unsaid.append((received, said))
        else:
            self.publish(said)

    def _handle(self, received: Received[Any]) -> tuple[list[Envelope], bool]:
        job_id = received.message.job_id
        before = self.job(job_id)
        self.referee.jobs[job_id].hear(received.message, self.elapsed)
        try:
            outputs = [each.message for each in self.run(self._handlers.call("dispatcher", [received]))]
        except JobIdConflict:  # it is dead-lettered
            outputs = []
        after = self.job(job_id)
        self.referee.sees_job(job_id, before, after)
        said = [each for each in outputs if isinstance(each, Envelope)]  # progress is no promise
        for command in (each for each in said if each.topic.startswith("render.requested.")):
            self.referee.sees_command(RenderRequested.model_validate_json(command.body))
        return said, after != before

    def _down(self) -> frozenset[Provider]:
        return frozenset(name for name, gateway in self.gateways.items() if gateway.gate.is_open)


def _is_command(envelope: Envelope) -> bool:
    return envelope.topic.startswith("render.")
