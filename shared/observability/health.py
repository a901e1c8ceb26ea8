"""Is this process alive, and is it able to work? For orchestrators, operators and the local stack."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

CHECK_SECONDS = 2.0
"""A check that takes longer is a problem itself: health answers at once, whatever hangs."""

Check = Callable[[], Awaitable[str | None]]
"""Returns what is wrong, or nothing."""


class Health:
    """The checks of one process, by name."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._vital: set[str] = set()

    def add(self, name: str, check: Check, *, vital: bool = True) -> None:
        """Ask `check` whenever readiness is asked for. Without what is not vital the process works."""
        self._checks[name] = check
        if vital:
            self._vital.add(name)

    def ready(self, problems: Collection[str]) -> bool:
        """Whether the process works with these problems."""
        return self._vital.isdisjoint(problems)

    async def problems(self) -> dict[str, str]:
        """Return what is wrong now, by check."""
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
