"""Dispatcher and gateways together, driven at random, do only what a simple reference allows.

Messages arrive in any order, twice, or again after a process died between its write and its publish;
providers lose answers; processes are marked as expired, rightly or not; time passes.
"""

from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contracts.base import PROVIDERS, Provider
from contracts.jobs import JobDue
from tests.fakes.builders import a_cancel, a_plan, a_rejection
from tests.unit.model.model import JOBS, ModelHarness
from tests.unit.model.providers import FAULTS, MOODS, Fault, Interrupted, Mood

T = TypeVar("T")
ANY_FAULT = st.sampled_from([*FAULTS, "sent", "sent"])
JOB_IDS = st.sampled_from([JOBS[0], JOBS[0], JOBS[1]])
WHICH = st.integers(0, 20)
GATEWAYS = st.sampled_from(PROVIDERS)
SECONDS = st.sampled_from([0.5, 2.0, 2.0, 6.0, 6.0, 17.0, 70.0, 290.0])
SELDOM = st.sampled_from([False, False, False, True])
ANY_MOOD = st.sampled_from([*MOODS, "working", "breaks", "answer_lost", "arrives_late"])


class Machine(RuleBasedStateMachine):
    """Rules of the state machine over a `ModelHarness`."""

    def __init__(self) -> None:
        super().__init__()
        self.model = ModelHarness()

    @initialize(images=st.integers(0, 3))
    def begin(self, images: int) -> None:
        """Mostly there is a job already, and its commands are on their way."""
        if images:
            self.model.deliver(a_plan(images, request_hash=f"of {images}"))

    @rule(job_id=JOB_IDS, images=st.integers(0, 3))
    def plan(self, job_id: str, images: int) -> None:
        if images:
            self.model.wire.append(a_plan(images, job_id=job_id, request_hash=f"of {images}"))
        else:
            self.model.wire.append(a_rejection(job_id=job_id))

    @rule(job_id=JOB_IDS, tenant=st.sampled_from(["acme", "acme", "other"]))
    def cancel(self, job_id: str, tenant: str) -> None:
        self.model.wire.append(a_cancel(job_id=job_id, tenant=tenant))

    @rule(seconds=SECONDS, called=SELDOM)
    def wait(self, seconds: float, called: bool) -> None:
        self.model.wait(seconds)
        self.model.publish_due()
        if called:
            self.model.wire.append(JobDue(job_id=JOBS[0], due_at=self.model.now))

    @rule(mood=ANY_MOOD)
    def work(self, mood: Mood) -> None:
        self.model.do_all_there_is(mood)
        self.model.wait(4.0)

    @precondition(lambda self: self.model.wire)
    @rule(which=WHICH, badly=SELDOM)
    def deliver(self, which: int, badly: bool) -> None:
        message = pick(self.model.wire, which)
        if not self.model.is_blocked(message):
            self.model.wire.remove(message)
            self.model.deliver(message, badly=badly)

    @precondition(lambda self: self.model.unsaid)
    @rule()
    def say_again(self) -> None:
        self.model.say_again()

    @precondition(lambda self: self.model.heard)
    @rule(which=WHICH)
    def repeat(self, which: int) -> None:
        message = pick(self.model.heard[::-1], which)
        if not self.model.is_blocked(message):
            self.model.deliver(message)

    @precondition(lambda self: self.model.steps())
    @rule(which=WHICH, mood=ANY_MOOD)
    def step(self, which: int, mood: Mood) -> None:
        gateway, process, attempt = pick(self.model.steps(), which)
        self.model.gateway_does(gateway, gateway.step(process, attempt, mood))

    @precondition(lambda self: self.model.steps())
    @rule(which=WHICH, mood=ANY_MOOD, fault=ANY_FAULT, survives=SELDOM)
    def step_that_breaks_off(self, which: int, mood: Mood, fault: Fault, survives: bool) -> None:
        gateway, process, attempt = pick(self.model.steps(), which)
        try:
            self.model.gateway_does(gateway, gateway.step(process, attempt, mood, fault))
        except Interrupted:
            if not survives and process is gateway.living:
                self.model.run(gateway.take_over())

    @rule(name=GATEWAYS, alive=st.booleans())
    def declare_dead(self, name: Provider, alive: bool) -> None:
        self.model.run(self.model.gateways[name].take_over(alive=alive))

    @precondition(lambda self: self.model.gateways["fal"].provider.taken)
    @rule(which=WHICH)
    def push(self, which: int) -> None:
        gateway = self.model.gateways["fal"]
        self.model.run(gateway.push(pick(gateway.provider.taken, which)))

    @rule(name=GATEWAYS)
    def tidy(self, name: Provider) -> None:
        gateway = self.model.gateways[name]
        self.model.gateway_does(gateway, gateway.tidy())

    @invariant()
    def ends_are_final(self) -> None:
        for gateway in self.model.gateways.values():
            self.model.referee.sees_ledger(gateway)

    def teardown(self) -> None:
        """However it stands: when everything is delivered, every promise is kept."""
        try:
            self.model.settle()
            for job in filter(None, map(self.model.job, JOBS)):
                if job.seq:
                    self.model.referee.sees_the_end(job)
            for gateway in self.model.gateways.values():
                self.model.referee.sees_ledger(gateway)
                self.model.referee.sees_accounts(gateway)
        finally:
            self.model.close()


def pick(things: list[T], which: int) -> T:
    return things[which % len(things)]


TestModel = Machine.TestCase
TestModel.settings = settings(stateful_step_count=50)
