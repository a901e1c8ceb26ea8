"""Rows of the matrix: a fault, the provider, and the required end."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from contracts.base import PROVIDERS, Provider
from contracts.renders import Billed, RenderRequested
from services.gateways.runtime.lifecycle.attempt import State
from tests.faults.between import Spoil

if TYPE_CHECKING:
    from tests.faults.harness import ProcessHarness

Story = Callable[["ProcessHarness", RenderRequested], Awaitable[None]]
"""Hands the command to the gateway, and does what else happens to it."""

Door = Literal["open", "closed", "full"]
"""At the provider's address a server listens, nobody does, or the server lets nobody in any more."""

NEVER = 60.0
DEADLINE = 300.0
LONG = {"latency_seconds": 30}
SELDOM = {"first_poll_interval": NEVER, "max_poll_interval": NEVER, "max_poll_interval_streaming": NEVER}


@dataclass(frozen=True)
class Fault:
    """A fault. `behaviour` is the simulator's, `limits` override the short times of all rows."""

    name: str
    behaviour: dict[str, Any] = field(default_factory=dict)
    story: Story | None = None
    spoils: tuple[Spoil, ...] = ()
    limits: dict[str, Any] = field(default_factory=dict)
    timeout: float = 5.0
    """Seconds for which the provider may be silent."""
    door: Door = "open"
    deadline: float = DEADLINE
    workflow: dict[str, Any] | None = None
    second_after: float = 0.0
    """Minimum number of seconds between the first submission and the second."""
    webhooks: tuple[int, ...] = ()
    """Statuses of the answers to Fal's webhooks; without any, all webhooks are lost."""
    told: Billed | None = None
    """Billing in the published message, if the ledger learned more afterwards."""
    fetch_seconds: float = 5.0
    """Seconds that the result-store may take for an output before it fetches it in the background."""


@dataclass(frozen=True)
class End:
    """The ledger's state and billing, and the final message."""

    state: State
    billed: Billed
    said: str


@dataclass(frozen=True)
class Row:
    """`sent`: submissions of the render by the gateway. `taken`: those in the provider's books."""

    provider: Provider
    fault: Fault
    end: End
    sent: int
    taken: int

    @property
    def id(self) -> str:
        """As pytest names it."""
        return f"{self.provider}: {self.fault.name}"

    @property
    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        end = self.end
        return (
            self.provider,
            self.fault.name,
            end.state,
            end.billed,
            end.said,
            str(self.sent),
            str(self.taken),
        )


ALL = PROVIDERS
ASKABLE: tuple[Provider, ...] = ("modal", "comfyui")
"""They can be asked whether they took a submission."""
MODAL: tuple[Provider, ...] = ("modal",)
COMFYUI: tuple[Provider, ...] = ("comfyui",)
FAL: tuple[Provider, ...] = ("fal",)


def at(providers: tuple[Provider, ...], fault: Fault, end: End, sent: int, taken: int) -> Iterator[Row]:
    """The rows of providers at which a fault ends in the same way."""
    return (Row(provider, fault, end, sent, taken) for provider in providers)


def submit(name: str, fault: str, **more: Any) -> Fault:
    """A one-shot fault of the simulator at the next submission."""
    behaviour = {"next_faults": (fault,)} | more.pop("behaviour", {})
    return Fault(name, behaviour, **more)


DONE = End("succeeded", "yes", "stored")
UNKNOWN = End("failed", "unknown", "failed: outcome_unknown, retryable")


def failed(code: str, billed: Billed = "no") -> End:
    """For good, at this provider."""
    return End("failed", billed, f"failed: {code}")


def again(code: str, billed: Billed = "no") -> End:
    """The dispatcher may make another attempt of it."""
    return End("failed", billed, f"failed: {code}, retryable")


def lost_output(code: str, *, retryable: bool = True) -> End:
    """The provider made an image and was paid for it, but it could not be stored."""
    return End("succeeded", "yes", f"failed: {code}{', retryable' if retryable else ''}")


def cancelled(billed: Billed) -> End:
    """Return the end of a cancelled attempt: nothing is published about the render."""
    return End("cancelled", billed, "nothing")
