"""A chain, told message by message; and what became of each job that it asked for."""

from contracts.chains import ChainStep
from contracts.generation import GenerationCancel, GenerationRequested
from contracts.jobs import JobEvent
from services.characters.chain_progress import ChainRecord
from services.characters.chains import ChainMessage, advance
from services.characters.policies import Policies
from tests.fakes.builders import JOB, START
from tests.fakes.characters import LATE, POLICIES, a_beginning, a_failure, an_event, images


class Tale:
    """Applies messages to a chain, and keeps all that it asked for and what the last message made it say."""

    def __init__(self, *messages: ChainMessage, policies: Policies = POLICIES) -> None:
        self.stored: ChainRecord | None = None
        self.requests: list[GenerationRequested] = []
        self.cancels: list[str] = []
        self.asked: list[str] = []
        self._policies = policies
        self.hear(*messages)

    @property
    def chain(self) -> ChainRecord:
        assert self.stored is not None
        return self.stored

    def hear(self, *messages: ChainMessage) -> "Tale":
        """`asked` and `cancels` are of these messages alone."""
        before, self.cancels = len(self.requests), []
        for message in messages:
            at = START + LATE
            self.stored, said = advance(self.stored, message, at=at, policies=self._policies)
            self.requests += [each for each in said if isinstance(each, GenerationRequested)]
            self.cancels += [each.job_id for each in said if isinstance(each, GenerationCancel)]
        self.asked = [each.request.type for each in self.requests[before:]]
        return self

    def step(self, place: int) -> ChainStep:
        return self.chain.steps[place]

    def states(self) -> str:
        """The chain's state, then each step's by its first letter: `running: crww`."""
        return f"{self.chain.state}: {''.join(step.state[0] for step in self.chain.steps)}"

    def job(self, place: int) -> str:
        """The newest job of a step."""
        return self.step(place).tries[-1].job_id

    def done(self, place: int, *, seconds: float = 10.0) -> JobEvent:
        """The good end of a step's newest job."""
        return an_event("completed", self.job(place), type=self.step(place).type, seconds=seconds)

    def lost(self, place: int, *, seconds: float = 10.0, code: str = "provider_failed") -> JobEvent:
        """The bad end of a step's newest job."""
        kind = self.step(place).type
        return a_failure(self.job(place), type=kind, seconds=seconds, code=code)


def trained(*, delivered: int = 7) -> Tale:
    """A chain whose sheet is drawn and whose training is asked for."""
    return Tale(a_beginning(), *images(range(delivered)), an_event("completed", JOB))


def with_lora() -> Tale:
    """A chain whose LoRA is ready: its pictures are asked for."""
    tale = trained()
    return tale.hear(tale.done(1))
