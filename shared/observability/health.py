"""Is this process alive, and is it able to work? For orchestrators, operators and the local stack."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

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


def health_routes(health: Health) -> APIRouter:
    """`/health/live`, `/health/ready` (with the problems; 503 if it cannot work) and `/metrics`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/health/ready")
    async def ready() -> JSONResponse:
        problems = await health.problems()
        return JSONResponse(
            {"status": "degraded" if problems else "ready", "problems": problems},
            status_code=200 if health.ready(problems) else 503,
        )

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router
