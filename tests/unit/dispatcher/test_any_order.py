"""A job keeps its invariants whatever messages arrive, in any order and any number of times."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from contracts.base import Message, id_of
from contracts.jobs import JobEvent
from contracts.renders import RenderRequested
from services.dispatcher.domain import JobIdConflict, JobMessage, advance
from services.dispatcher.handlers import is_progress
from services.dispatcher.job_record import JobRecord
from services.dispatcher.lora_waits import CharacterRef, CharacterState, is_waiting
from shared.envelope import Envelope, Received
from shared.fold import fold
from tests.fakes.builders import (
    CHARACTER,
    DEADLINE_SECONDS,
    JOB,
    LORA,
    MIA,
    PATIENCE_SECONDS,
    POLICIES,
    START,
    a_cancel,
    a_plan,
    a_rejection,
    a_waiting_plan,
    after,
    due,
    failed,
    progressed,
    received,
    stored,
)
from tests.fakes.documents import FakeDocuments

NEWEST = 0
WOKEN = "woken when it asked to be"
DUE = "called, asked or not"


@dataclass(frozen=True)
class News:
    """Number of the attempt, or None for the newest one."""

    make: Any
    index: int
    n: int
    fields: dict[str, Any]


Step = tuple[float, JobMessage | News | CharacterState | str]
"""After this many seconds, a message arrives or the characters service writes its record."""


def often(strategy: st.SearchStrategy[Any], times: int) -> list[st.SearchStrategy[Any]]:
    return [strategy] * times


def news() -> st.SearchStrategy[Any]:
    index, n = st.sampled_from([0, 0, 0, 1, 1, 2, 4]), st.sampled_from([*[NEWEST] * 8, 1, 2, 3, 4, 5])
    moved = st.fixed_dictionaries(
        {
            "state": st.sampled_from(["queued", "running", "storing"]),
            "percent": st.sampled_from([None, 0, 50, 100]),
            "queue_position": st.sampled_from([None, 0, 3]),
        }
    )
    failure = st.fixed_dictionaries({"retryable": st.sampled_from([*[True] * 5, False])})
    result = st.fixed_dictionaries({"duplicate": st.sampled_from([False, False, True])})
    return st.one_of(
        *often(st.builds(News, st.just(progressed), index, n, moved), 2),
        *often(st.builds(News, st.just(failed), index, n, failure), 6),
        st.builds(News, st.just(stored), index, n, result),
        *often(st.just(WOKEN), 6),
        st.just(DUE),
    )


def character_states() -> st.SearchStrategy[CharacterState]:
    """Possible ends of the LoRA that a job may wait for."""
    trains, ready = CharacterState(), CharacterState(LORA)
    failure = CharacterState(failure="too few images", failed_at=START)
    return st.sampled_from([trains, trains, ready, ready, failure])


PLANS = st.builds(
    a_plan,
    images=st.integers(1, 4),
    type=st.sampled_from(["studio", "character_sheet"]),
    character_id=st.just(CHARACTER),
    provider=st.sampled_from([*[None] * 6, "fal"]),
    workflow=st.sampled_from([*[None] * 6, {"3": {}}]),
)
WAITING_PLANS = st.builds(
    a_waiting_plan, images=st.integers(1, 4), provider=st.sampled_from([*[None] * 6, "fal"])
)
ANY_PLAN = st.one_of(PLANS, WAITING_PLANS)
STRANGE = st.sampled_from([a_cancel(), a_rejection(), a_cancel(tenant="other"), a_plan(request_hash="def")])


def steps(*kinds: st.SearchStrategy[Any], least: int = 0, most: int = 30) -> st.SearchStrategy[list[Step]]:
    waits = st.sampled_from([*[0.0] * 4, 0.1, 1.5, 20.0])
    return st.lists(st.tuples(waits, st.one_of(*kinds)), min_size=least, max_size=most)


def stories() -> st.SearchStrategy[list[Step]]:
    """Messages after a plan, in a third of the cases with a cancel among them."""
    cancels = st.sampled_from([[], [], [(0.0, a_cancel())]])
    parts = st.tuples(steps(news(), character_states(), least=8), cancels, steps(news(), most=4))
    return parts.map(lambda three: [*three[0], *three[1], *three[2]])


class Witness:
    """Applies messages one by one and checks the invariants after each."""

    def __init__(self) -> None:
        self.now = START
        self.job: JobRecord | None = None
        self.outputs: list[Message] = []
        self.characters: dict[CharacterRef, CharacterState] = {}
        self.has_waited = False

    def message(self, step: JobMessage | News | str) -> JobMessage:
        """Return the message of a step in the present state."""
        if isinstance(step, News):
            renders = self.job.renders if self.job else ()
            newest = len(renders[step.index].attempts) if step.index < len(renders) else 0
            made: JobMessage = step.make(step.index, step.n or newest or 1, **step.fields)
            return made
        if step == WOKEN and self.job and self.job.wake_at and self.job.wake_at < self.job.deadline_at:
            self.now = max(self.now, self.job.wake_at)
        if isinstance(step, str):
            return due(self.now)
        return step

    def receive(self, message: JobMessage) -> None:
        before = self.job
        try:
            self.job, said = self.advanced(before, message)
        except JobIdConflict:
            assert before is not None
            assert getattr(message, "request_hash", "") != before.request_hash
            return
        self.outputs += said
        self.check(before, said)
        again, nothing = self.advanced(self.job, message)
        assert again is self.job, "a repetition changes nothing"
        assert not nothing, "and says nothing"

    def advanced(
        self, job: JobRecord | None, message: JobMessage
    ) -> tuple[JobRecord | None, Sequence[Message]]:
        return advance(job, message, policies=POLICIES, now=self.now, characters=self.characters)

    def check(self, before: JobRecord | None, said: Sequence[Message]) -> None:
        if before is not None and before.terminal and before.seq:
            assert self.job is before, "terminal is terminal"
            assert not said
        if self.job is not None:
            assert self.job.delivered + self.job.failed <= self.job.requested
            if not self.job.terminal:
                assert self.job.wake_at is not None, "someone must look again"
                assert self.job.wake_at <= self.job.deadline_at, "and in time"
            assert [event.seq for event in self.job.events] == list(range(1, self.job.seq + 1))
            assert not (self.job.terminal and self.open_attempts()), "an ended job lets nothing run"
            self.check_waiting(self.job)
        self.check_all_that_was_said()

    def check_waiting(self, job: JobRecord) -> None:
        commands = [each for each in self.outputs if isinstance(each, RenderRequested)]
        if is_waiting(job):
            self.has_waited = True
            assert not commands, "what waits for its LoRA commands nothing"
        if self.has_waited:
            assert all(command.spec.lora == LORA for command in commands), "and nothing without it"

    def open_attempts(self) -> list[int]:
        renders = self.job.renders if self.job else ()
        return [each.n for render in renders for each in render.attempts if each.outcome == "open"]

    def check_all_that_was_said(self) -> None:
        events = [each for each in self.outputs if isinstance(each, JobEvent) and not is_progress(each)]
        assert [event.seq for event in events] == list(range(1, len(events) + 1)), "no gaps"
        assert sum(event.event in ("completed", "failed") for event in events) <= 1
        attempts = [each.attempt_id for each in self.outputs if isinstance(each, RenderRequested)]
        assert len(attempts) == len(set(attempts)), "nothing is submitted twice"

    def wait_until_after_the_deadline(self) -> None:
        last = self.job.deadline_at if self.job else START
        self.now = max(self.now, last, after(DEADLINE_SECONDS)) + timedelta(seconds=1)
        self.receive(due(self.now))


def play(witness: Witness, story: Sequence[Step]) -> None:
    for wait, step in story:
        witness.now += timedelta(seconds=wait)
        if isinstance(step, CharacterState):
            witness.characters = {MIA: step}
        else:
            witness.receive(witness.message(step))


@given(early=steps(news(), character_states(), STRANGE, most=2), plan=ANY_PLAN, later=stories())
def test_a_planned_job_keeps_its_invariants(early: list[Step], plan: Any, later: list[Step]) -> None:
    witness = Witness()
    play(witness, [*early, (0.0, plan), *later])
    witness.wait_until_after_the_deadline()
    assert witness.job is not None
    assert witness.job.terminal
    assert witness.job.seq == len(witness.job.events) > 0
    play(witness, [(0.0, plan), *later, *early])


@given(story=steps(news(), character_states(), STRANGE, ANY_PLAN))
def test_no_order_of_messages_breaks_an_invariant(story: list[Step]) -> None:
    witness = Witness()
    play(witness, story)
    witness.wait_until_after_the_deadline()
    assert witness.job is None or witness.job.terminal


class Folder(Witness):
    """Applies messages through the fold, each delivered twice."""

    def __init__(self) -> None:
        super().__init__()
        self.documents = FakeDocuments(JobRecord)
        self.heard: list[Received[JobMessage]] = []
        self.answers: dict[str, list[Envelope]] = {}

    def apply(
        self, job: JobRecord | None, given: Received[JobMessage]
    ) -> tuple[JobRecord | None, Sequence[Message]]:
        return advance(job, given.message, policies=POLICIES, now=given.at, characters=self.characters)

    async def deliver(self, given: Received[JobMessage]) -> list[Envelope]:
        outputs = await fold([given], self.documents, self.apply, source="dispatcher", snapshot=is_progress)
        self.job = self.documents.get(JOB)
        return [each.message for each in outputs if isinstance(each.message, Envelope)]

    async def deliver_twice(self, message: JobMessage) -> None:
        given = received(message, offset=len(self.heard), batch_start=0, at=self.now)
        self.heard.append(given)
        before = self.job.version if self.job else 0
        answer = await self.deliver(given)
        if self.job and self.job.version > before:
            self.answers[given.id] = answer
        assert answer == self.answers.get(given.id, [])
        assert await self.deliver(given) == answer


@given(plan=ANY_PLAN, story=stories())
async def test_a_redelivery_publishes_the_same_bytes_however_far_the_job_has_advanced(
    plan: Any, story: list[Step]
) -> None:
    folder = Folder()
    for wait, step in [(0.0, plan), *story, (PATIENCE_SECONDS, DUE)]:
        folder.now += timedelta(seconds=wait)
        if isinstance(step, CharacterState):
            folder.characters = {MIA: step}
        else:
            await folder.deliver_twice(folder.message(step))
    last = folder.job
    assert last is not None
    assert last.terminal
    for given_once in folder.heard:
        assert await folder.deliver(given_once) == folder.answers.get(given_once.id, [])
    assert folder.job == last


@given(plan=ANY_PLAN, known=character_states(), story=stories())
async def test_one_batch_publishes_the_same_as_many_batches(
    plan: Any, known: CharacterState, story: list[Step]
) -> None:
    witness, folder = Witness(), Folder()
    witness.characters = folder.characters = {MIA: known}  # read once for a batch
    batch: list[Received[JobMessage]] = []
    for _, step in [(0.0, plan), *story]:
        if isinstance(step, CharacterState):
            continue
        message = witness.message(step)
        witness.receive(message)
        place = len(batch)
        batch.append(received(message, offset=place, batch_start=0, at=witness.now, id=str(place)))
    outputs = await fold(batch, folder.documents, folder.apply, source="dispatcher", snapshot=is_progress)
    said = [each.message.id for each in outputs if isinstance(each.message, Envelope)]
    assert said == [id_of(message) for message in witness.outputs if not is_progress(message)]
    assert folder.documents.saves == 1
