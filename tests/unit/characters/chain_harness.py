"""A chain that receives messages one by one, and the ends of the jobs that it requests."""

from contracts.chains import ChainStep
from contracts.generation import GenerationCancel, GenerationRequested
from contracts.jobs import JobEvent
from services.characters.chain_progress import ChainRecord
from services.characters.chains import ChainMessage, advance
from services.characters.policies import Policies
from tests.fakes.builders import JOB, START
from tests.fakes.characters import LATE, POLICIES, a_beginning, a_failure, an_event, images


class ChainHarness:
    """Applies messages to a chain and keeps its requests and cancels."""

    def __init__(self, *messages: ChainMessage, policies: Policies = POLICIES) -> None:
        self.stored: ChainRecord | None = None
        self.requests: list[GenerationRequested] = []
        self.cancels: list[str] = []
        self.asked: list[str] = []
        self._policies = policies
        self.receive(*messages)

    @property
    def chain(self) -> ChainRecord:
        assert self.stored is not None
        return self.stored

    def receive(self, *messages: ChainMessage) -> "ChainHarness":
        """Apply messages; afterwards `asked` and `cancels` are of these messages alone."""
        before, self.cancels = len(self.requests), []
        for message in messages:
            at = START + LATE
            self.stored, outputs = advance(self.stored, message, at=at, policies=self._policies)
            self.requests += [each for each in outputs if isinstance(each, GenerationRequested)]
            self.cancels += [each.job_id for each in outputs if isinstance(each, GenerationCancel)]
        self.asked = [each.request.type for each in self.requests[before:]]
        return self

    def step(self, place: int) -> ChainStep:
        return self.chain.steps[place]

    def states(self) -> str:
        """Return the chain's state and the first letter of each step's: `running: crww`."""
        return f"{self.chain.state}: {''.join(step.state[0] for step in self.chain.steps)}"

    def job(self, place: int) -> str:
        """Return the newest job of a step."""
        return self.step(place).tries[-1].job_id

    def completed(self, place: int, *, seconds: float = 10.0) -> JobEvent:
        """Return the completion of a step's newest job."""
        return an_event("completed", self.job(place), type=self.step(place).type, seconds=seconds)

    def failed(self, place: int, *, seconds: float = 10.0, code: str = "provider_failed") -> JobEvent:
        """Return the failure of a step's newest job."""
        kind = self.step(place).type
        return a_failure(self.job(place), type=kind, seconds=seconds, code=code)


def trained(*, delivered: int = 7) -> ChainHarness:
    """Return a chain whose sheet is drawn and whose training is requested."""
    return ChainHarness(a_beginning(), *images(range(delivered)), an_event("completed", JOB))


def with_lora() -> ChainHarness:
    """Return a chain whose LoRA is ready and whose pictures are requested."""
    harness = trained()
    return harness.receive(harness.completed(1))
