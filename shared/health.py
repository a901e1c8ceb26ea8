"""Is this process alive, and is it able to work? For orchestrators, operators and the local stack."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Check = Callable[[], Awaitable[str | None]]
"""Returns what is wrong, or nothing."""


class Health:
    """The checks of one process, by name."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}

    def add(self, name: str, check: Check) -> None:
        """Ask `check` whenever readiness is asked for."""
        self._checks[name] = check

    async def problems(self) -> dict[str, str]:
        """What is wrong now, by check."""
        found: dict[str, str] = {}
        for name, check in self._checks.items():
            try:
                problem = await check()
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
            if problem:
                found[name] = problem
        return found


def health_routes(health: Health) -> APIRouter:
    """`/health/live`, `/health/ready` (200, or 503 with the problems) and `/metrics`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/health/ready")
    async def ready() -> JSONResponse:
        problems = await health.problems()
        return JSONResponse(
            {"status": "degraded" if problems else "ready", "problems": problems},
            status_code=503 if problems else 200,
        )

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router
