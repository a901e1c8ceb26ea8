"""Liveness and readiness of a process, for orchestrators, operators and the local stack."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

CHECK_SECONDS = 2.0
"""Limit for one check: health answers although a server hangs."""

Check = Callable[[], Awaitable[str | None]]
"""Returns the problem, or None."""


class Health:
    """The checks of one process, by name."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._vital: set[str] = set()

    def add(self, name: str, check: Check, *, vital: bool = True) -> None:
        """Add a check for readiness. A failing check that is not vital leaves the process ready."""
        self._checks[name] = check
        if vital:
            self._vital.add(name)

    def ready(self, problems: Collection[str]) -> bool:
        """Return True if the process can work with these problems."""
        return self._vital.isdisjoint(problems)

    async def problems(self) -> dict[str, str]:
        """Return the current problems, by check."""
        names = list(self._checks)
        found = await asyncio.gather(*(_asked(self._checks[name]) for name in names))
        return {name: problem for name, problem in zip(names, found, strict=True) if problem}


async def _asked(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError as error:
        return str(error) or f"no answer within {CHECK_SECONDS:g} s"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
