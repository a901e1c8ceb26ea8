"""How a simulated provider behaves: set by the command line at start, by `POST /_sim/behaviour` later."""

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
    """Every field is also a command line option: `latency_seconds` is `--latency-seconds`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latency_seconds: NonNegativeFloat = 0.3
    """How long a job runs, without its time in the queue."""
    jitter: Rate = 0.0
    """Share of the latency by which each job may differ, up or down."""
    concurrency: PositiveInt = 8
    """Jobs that run at once; the others wait in the provider's queue."""
    tiny: bool = False
    """Answer with a plain picture of half of each side that was asked for: costs nearly nothing."""
    seed: int = 0
    """Of the random choices; setting it again repeats them."""

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
    """A cancelled running job still finishes (fal and Modal promise no more)."""

    webhook_duplicates: NonNegativeInt = 0
    """How often each webhook is sent again after it was delivered."""
    webhook_delay_seconds: NonNegativeFloat = 0.0
    webhook_lost_rate: Rate = 0.0
    webhook_bad_signature: bool = False
    webhook_without_payload: bool = False
    """`payload` is null and `payload_error` says why: the result is only to be had from the queue."""


@dataclass(frozen=True)
class Outcome:
    """What will become of an accepted job, decided when it is accepted."""

    seconds: float
    end: Literal["ok", "fail", "oom"] = "ok"
    nsfw: bool = False


@dataclass
class Director:
    """Takes the random choices, so that the same seed and the same calls give the same faults."""

    behaviour: Behaviour
    _dice: Random = field(init=False)

    def __post_init__(self) -> None:
        self._dice = Random(self.behaviour.seed)

    def change(self, patch: dict[str, Any]) -> Behaviour:
        """Raises pydantic's ValidationError and changes nothing when a value is wrong."""
        merged = self.behaviour.model_dump() | patch
        self.behaviour = Behaviour.model_validate(merged)
        if "seed" in patch:
            self._dice = Random(self.behaviour.seed)
        return self.behaviour

    def next_fault(self) -> SubmitFault | JobFault | None:
        """The fault of the submit that arrived now."""
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
        """Words in the prompt and one-shot faults decide before chance does.

        `sim-fail` passes through the prompt library as it is; `[fail]` only where nobody reads brackets.
        """
        now, words = self.behaviour, prompt.lower()
        asked = {name for name in JOB_FAULTS if f"[{name}]" in words or f"sim-{name}" in words} | {fault}
        seconds = now.latency_seconds
        if now.jitter:
            seconds *= 1 + self._dice.uniform(-now.jitter, now.jitter)
        if "slow" in asked:
            seconds *= SLOW_FACTOR
        nsfw = "nsfw" in asked or self.happens(now.nsfw_rate)
        if "oom" in asked:
            return Outcome(seconds, "oom", nsfw)
        if "fail" in asked:
            return Outcome(seconds, "fail", nsfw)
        if self.happens(now.fail_rate):
            return Outcome(seconds, "fail" if now.fail_kind == "permanent" else "oom", nsfw)
        return Outcome(seconds, "ok", nsfw)

    def happens(self, rate: float) -> bool:
        return rate > 0 and self._dice.random() < rate
