"""Steps for a scheduler without an executor."""

from collections.abc import Awaitable, Callable

from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.lifecycle.decisions import Release, Wait
from services.gateways.runtime.scheduling.engine import Step


def as_step(pause_after: Callable[[Attempt], Awaitable[float | None]]) -> Step:
    """Return a step that waits for the seconds that a function returns, or ends the attempt after None."""

    async def step(attempt: Attempt) -> Wait | Release:
        pause = await pause_after(attempt)
        return Release() if pause is None else Wait(pause, pause)

    return step
