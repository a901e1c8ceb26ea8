"""Behaviour of a simulator, set by the command line at start and changed by `POST /_sim/behaviour`."""

from dataclasses import dataclass, field
from random import Random
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt

Rate = Annotated[float, Field(ge=0, le=1)]
Mode = Literal["drop", "hang"]
SubmitFault = Literal[
    "lose_answer",  # accepted, and the connection ends (or hangs) before the answer
    "accepted_500",  # accepted, but answered 500
    "malformed_json",  # accepted, and the answer is cut JSON of the announced length
    "truncated",  # accepted, and the connection ends in the middle of the answer
    "429", "500", "503", "422",  # not accepted
]  # fmt: skip
JobFault = Literal["fail", "oom", "nsfw", "slow"]
JOB_FAULTS: Final[tuple[JobFault, ...]] = get_args(JobFault)
SLOW_FACTOR: Final = 20


class Behaviour(BaseModel):
    """Settings of a simulator. Every field is also a command line option: `latency_seconds` is
    `--latency-seconds`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latency_seconds: NonNegativeFloat = 0.3
    """Seconds that a job runs, without its time in the queue."""
    jitter: Rate = 0.0
    """Share of the latency by which a job's duration may differ, up or down."""
    concurrency: PositiveInt = 8
    """Jobs that run at once; the others wait in the provider's queue."""
    tiny: bool = False
    """Return a plain picture of half the requested width and height, at almost no cost."""
    seed: int = 0
    """Seed of the random choices; setting it again repeats them."""

    fail_rate: Rate = 0.0
    fail_kind: Literal["permanent", "transient"] = "permanent"
    nsfw_rate: Rate = 0.0
    lose_answer_rate: Rate = 0.0
    lose_answer_mode: Mode = "drop"
    reject_rate_429: Rate = 0.0
    retry_after_seconds: NonNegativeInt = 1
    error_500_rate: Rate = 0.0
    error_503_rate: Rate = 0.0
    next_faults: tuple[SubmitFault | JobFault, ...] = ()
    """One fault for each of the next submits, in order."""
    cancel_is_ignored: bool = False
    """Let a cancelled running job finish, which fal and Modal do not rule out."""

    webhook_duplicates: NonNegativeInt = 0
    """Number of times that each webhook is sent again after its delivery."""
    webhook_delay_seconds: NonNegativeFloat = 0.0
    webhook_lost_rate: Rate = 0.0
    webhook_bad_signature: bool = False
    webhook_without_payload: bool = False
    """Send webhooks whose `payload` is null and whose `payload_error` gives a reason; only the queue has the
    result."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of an accepted job, decided on acceptance."""

    seconds: float
    end: Literal["ok", "fail", "oom"] = "ok"
    nsfw: bool = False


@dataclass
class FaultInjector:
    """Chooses faults and outcomes at random; the same seed and the same calls give the same ones."""

    behaviour: Behaviour
    _rng: Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = Random(self.behaviour.seed)

    def change(self, patch: dict[str, Any]) -> Behaviour:
        """Change some settings. An invalid value raises pydantic's ValidationError and changes nothing."""
        merged = self.behaviour.model_dump() | patch
        self.behaviour = Behaviour.model_validate(merged)
        if "seed" in patch:
            self._rng = Random(self.behaviour.seed)
        return self.behaviour

    def next_fault(self) -> SubmitFault | JobFault | None:
        """Return the fault of the submit that has just arrived."""
        now = self.behaviour
        if now.next_faults:
            self.behaviour = now.model_copy(update={"next_faults": now.next_faults[1:]})
            return now.next_faults[0]
        rates: tuple[tuple[SubmitFault, float], ...] = (
            ("429", now.reject_rate_429),
            ("500", now.error_500_rate),
            ("503", now.error_503_rate),
            ("lose_answer", now.lose_answer_rate),
        )
        return next((fault for fault, rate in rates if self.happens(rate)), None)

    def outcome(self, prompt: str, fault: str | None = None) -> Outcome:
        """Choose a job's outcome: by words in the prompt, then by one-shot faults, then at random.

        `sim-fail` passes through the prompt library unchanged; `[fail]` does not, where brackets have a
        meaning.
        """
        now, words = self.behaviour, prompt.lower()
        requested = {name for name in JOB_FAULTS if f"[{name}]" in words or f"sim-{name}" in words} | {fault}
        seconds = now.latency_seconds
        if now.jitter:
            seconds *= 1 + self._rng.uniform(-now.jitter, now.jitter)
        if "slow" in requested:
            seconds *= SLOW_FACTOR
        nsfw = "nsfw" in requested or self.happens(now.nsfw_rate)
        if "oom" in requested:
            return Outcome(seconds, "oom", nsfw)
        if "fail" in requested:
            return Outcome(seconds, "fail", nsfw)
        if self.happens(now.fail_rate):
            return Outcome(seconds, "fail" if now.fail_kind == "permanent" else "oom", nsfw)
        return Outcome(seconds, "ok", nsfw)

    def happens(self, rate: float) -> bool:
        return rate > 0 and self._rng.random() < rate
