"""In any order of messages, with any repetitions, a chain ends the same and requests each job once."""

from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.chains import ChainResume
from contracts.generation import GenerationRequested
from contracts.requests import CharacterSheetRequest, ProfileFollowUp, StudioFollowUp, TrainingFollowUp
from services.characters.chain_progress import ChainRecord
from services.characters.chains import ChainIdConflict, ChainMessage, advance
from shared.envelope import Envelope, Received
from shared.fold import fold
from shared.ids import uuid7
from tests.fakes.builders import JOB, START, received
from tests.fakes.characters import (
    LATE,
    POLICIES,
    a_beginning,
    a_chain_cancel,
    a_conflict,
    a_failure,
    a_resume,
    an_event,
    images,
)
from tests.fakes.documents import FakeDocuments

BOUNDED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

THEN = st.sampled_from(
    [
        (TrainingFollowUp(),),
        (TrainingFollowUp(), StudioFollowUp(), ProfileFollowUp(set_id="dating")),
        (TrainingFollowUp(), StudioFollowUp(), StudioFollowUp(count=3), StudioFollowUp(count=2)),
        (StudioFollowUp(), ProfileFollowUp(set_id="dating")),
        (StudioFollowUp(), TrainingFollowUp(), StudioFollowUp()),
    ]
)


class ChainSimulation:
    """Runs the jobs that a chain requests, and delivers their events in a shuffled order.

    Events of one job stay in order, as in one partition; all others are shuffled, and some are
    repeated. The end of a try depends only on its step and number. Failures that make a user resume
    may be held back until the next resume.
    """

    def __init__(
        self, beginning: GenerationRequested, outcomes: Sequence[bool], order: Random | None
    ) -> None:
        self.chain: ChainRecord | None = None
        self.asked: dict[str, GenerationRequested] = {}
        self.time = 0.0
        self.drawn: set[int] = set()
        self._outcomes = outcomes
        self._order = order
        self._lines: list[list[ChainMessage]] = [[beginning]]
        self._delivered: list[ChainMessage] = []
        self._held_back: list[list[ChainMessage]] = []
        self._do(beginning, first=True)

    def play(self) -> None:
        """Deliver all messages, except those held back for the next resume."""
        while self._lines:
            line = self._order.choice(self._lines) if self._order else self._lines[0]
            self._deliver(line.pop(0))
            self._lines = [each for each in self._lines if each]
            while self._order and self._order.random() < 0.2:
                self._deliver(self._order.choice(self._delivered))

    def resume(self) -> None:
        """Resume as a user does, perhaps before the chain has received the failure."""
        self.time += 1
        resume: ChainResume = a_resume(self.time)
        self._lines = [*self._held_back, [resume]]
        self._held_back = []

    def play_out(self) -> None:
        """Play until no message is held back."""
        while self._lines or self._held_back:
            self._lines += self._held_back
            self._held_back = []
            self.play()

    def _deliver(self, message: ChainMessage) -> None:
        self._delivered.append(message)
        self.chain, outputs = advance(self.chain, message, at=START + LATE, policies=POLICIES)
        for each in outputs:
            assert isinstance(each, GenerationRequested), "nothing is cancelled here"
            assert each.job_id not in self.asked, "each try is asked for once"
            self._do(each)

    def _do(self, asked: GenerationRequested, *, first: bool = False) -> None:
        if not first:
            self.asked[asked.job_id] = asked
        self.time += 1
        news = self._news(asked, self._number_of(asked, first))
        if self._fails_its_step(asked, news[-1]) and self._order and self._order.random() < 0.5:
            self._held_back.append([news.pop()])
        if news:
            self._lines.append(news)

    def _fails_its_step(self, asked: GenerationRequested, last: ChainMessage) -> bool:
        sheet = asked.request
        enough = isinstance(sheet, CharacterSheetRequest) and len(self.drawn) >= 0.7 * sheet.count
        return getattr(last, "event", "") == "failed" and not enough

    def _number_of(self, asked: GenerationRequested, first: bool) -> int:
        if first:
            return 0
        assert self.chain is not None
        tries = [(place, n) for place, step in enumerate(self.chain.steps) for n, _ in enumerate(step.tries)]
        ids = [each.job_id for step in self.chain.steps for each in step.tries]
        place, n = tries[ids.index(asked.job_id)]
        return place * 7 + n

    def _news(self, asked: GenerationRequested, number: int) -> list[ChainMessage]:
        well = self._outcomes[number % len(self._outcomes)]
        request = asked.request
        about: dict[str, Any] = {"type": request.type, "seconds": self.time}
        if not isinstance(request, CharacterSheetRequest):
            end = an_event("completed", asked.job_id, **about) if well else a_failure(asked.job_id, **about)
            return [end]
        poses = request.only or range(request.count)
        places = range(len(poses)) if well else range(1, len(poses), 2)
        self.drawn |= {poses[place] for place in places}
        ready = images(places, asked.job_id, seconds=self.time)
        end = an_event("completed", asked.job_id, **about) if well else a_failure(asked.job_id, **about)
        return [*ready, end]

    def end(self) -> dict[str, Any]:
        """Return the chain without its times, because some depend on the order."""
        assert self.chain is not None
        times = {"created_at", "updated_at", "finished_at", "resumed_at"}
        reported = self.chain.model_dump(exclude=times)
        for step in reported["steps"]:
            for attempt in step["tries"]:
                del attempt["ended_at"], attempt["resumed_at"]
        return reported


@settings(BOUNDED, max_examples=80)
@given(
    then=THEN,
    outcomes=st.lists(st.booleans(), min_size=1, max_size=12),
    seed=st.integers(0, 2**32),
    count=st.integers(7, 10),
)
def test_any_order_ends_in_the_same_state_with_the_same_requests(
    then: Any, outcomes: list[bool], seed: int, count: int
) -> None:
    beginning = a_beginning(then=then, request={"count": count})
    straight, shuffled = (
        ChainSimulation(beginning, outcomes, None),
        ChainSimulation(beginning, outcomes, Random(seed)),
    )
    for _ in range(4):
        straight.play()
        shuffled.play()
        straight.resume()
        shuffled.resume()
    straight.play_out()
    shuffled.play_out()
    assert shuffled.end() == straight.end()
    assert shuffled.asked == straight.asked
    assert straight.chain is not None
    assert (straight.chain.steps[0].state == "completed") == (len(straight.drawn) >= 0.7 * count)


def strange_messages() -> st.SearchStrategy[ChainMessage | tuple[int, int, str]]:
    """Commands and conflicts at any time; events of a try by its step and number."""
    times = st.sampled_from([5.0, 15.0, 25.0, 35.0, 45.0])
    return st.one_of(
        st.tuples(
            st.integers(0, 3), st.integers(0, 2), st.sampled_from(["completed", "failed", "cancelled"])
        ),
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from(["completed", "failed", "image"])),
        st.builds(a_chain_cancel, times),
        st.builds(a_resume, times),
        st.sampled_from(
            [
                a_beginning(),
                a_beginning(tenant="other"),
                a_chain_cancel(tenant="other"),
                an_event("completed", tenant="other"),
                an_event("completed", uuid7()),
                a_conflict(),
            ]
        ),
    )


def meant(step: ChainMessage | tuple[int, int, str], chain: ChainRecord | None) -> ChainMessage:
    if not isinstance(step, tuple):
        return step
    place, n, kind = step
    tries = chain.steps[place].tries if chain and chain.steps else ()
    job_id = tries[n].job_id if n < len(tries) else JOB
    if kind == "image":
        return images([n], job_id)[0]
    if kind == "completed":
        return an_event("completed", job_id)
    return a_failure(job_id, code="cancelled" if kind == "cancelled" else "nsfw")


def check(before: ChainRecord | None, chain: ChainRecord | None) -> None:
    """Check the invariants that hold after every message."""
    if chain is None:
        return
    running = [each for step in chain.steps for each in step.tries if each.state == "running"]
    assert chain.state == "running" or not running, "an ended chain lets nothing run"
    assert chain.state == "running" or chain.finished_at is not None
    for place, step in enumerate(before.steps if before else ()):
        assert step.state != "completed" or chain.steps[place].state == "completed", "done is done"
        assert len(step.tries) <= len(chain.steps[place].tries)


@settings(BOUNDED, max_examples=150)
@given(story=st.lists(strange_messages(), max_size=30))
def test_no_order_of_messages_breaks_an_invariant(story: list[Any]) -> None:
    chain: ChainRecord | None = None
    asked: list[str] = []
    for step in [*story, a_beginning(), *story]:
        message = meant(step, chain)
        try:
            after, outputs = advance(chain, message, at=START + LATE, policies=POLICIES)
        except ChainIdConflict:
            assert isinstance(message, GenerationRequested)
            continue
        check(chain, after)
        new = [each.job_id for each in outputs if isinstance(each, GenerationRequested)]
        assert not new or (after is not None and not after.is_cancelled), "a cancelled chain starts nothing"
        asked += new
        again, nothing = advance(after, message, at=START + LATE, policies=POLICIES)
        assert again is after, "a repetition changes nothing"
        assert not nothing, "and says nothing"
        chain = after
    assert len(asked) == len(set(asked)), "nothing is asked for twice"


@settings(BOUNDED, max_examples=40)
@given(story=st.lists(strange_messages(), max_size=20))
async def test_a_redelivery_publishes_the_same_bytes_after_any_progress_of_the_chain(
    story: list[Any],
) -> None:
    documents = FakeDocuments(ChainRecord)
    answers: list[tuple[Received[ChainMessage], list[Envelope]]] = []

    async def deliver(given_once: Received[ChainMessage]) -> list[Envelope]:
        outputs = await fold([given_once], documents, apply, source="characters", key=lambda _: JOB)
        return [each.message for each in outputs if isinstance(each.message, Envelope)]

    def apply(chain: ChainRecord | None, given: Received[ChainMessage]) -> Any:
        try:
            return advance(chain, given.message, at=given.at, policies=POLICIES)
        except ChainIdConflict:
            return chain, ()

    for place, step in enumerate([a_beginning(), *story]):
        message = meant(step, documents.get(JOB))
        incoming = received(message, offset=place, batch_start=0, at=START + LATE, id=str(place))
        answers.append((incoming, await deliver(incoming)))
    last = documents.get(JOB)
    for incoming, answer in answers:
        assert await deliver(incoming) == answer
    assert documents.get(JOB) == last
