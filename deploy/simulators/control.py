"""Control routes `/_sim/*` for tests and benchmarks, beside the provider's own protocol."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from deploy.simulators.behaviour import FaultInjector
from deploy.simulators.python_json import PythonJSON
from deploy.simulators.submission_log import SubmissionLog


def control_routes(
    injector: FaultInjector,
    submission_log: SubmissionLog,
    *,
    forget: Callable[[], None],
    changed: Callable[[], None],
) -> Mount:
    """Return the control routes. `forget` restarts the provider; `changed` applies a new limit to queued
    jobs."""
    control = _Control(injector, submission_log, forget, changed, injector.behaviour.model_dump())
    return Mount(
        "/_sim",
        routes=[
            Route("/behaviour", control.read_behaviour, methods=["GET"]),
            Route("/behaviour", control.change_behaviour, methods=["POST"]),
            Route("/submissions", control.submissions),
            Route("/summary", control.summary),
            Route("/forget", control.restart, methods=["POST"]),
            Route("/reset", control.reset, methods=["POST"]),
            Route("/health", control.health),
        ],
    )


@dataclass(frozen=True)
class _Control:
    injector: FaultInjector
    submission_log: SubmissionLog
    forget: Callable[[], None]
    changed: Callable[[], None]
    start: dict[str, Any]

    async def read_behaviour(self, _: Request) -> Response:
        return JSONResponse(self.injector.behaviour.model_dump())

    async def change_behaviour(self, request: Request) -> Response:
        try:
            patch = await request.json()
            if not isinstance(patch, dict):
                return _unprocessable([{"loc": [], "msg": "the body must be a JSON object"}])
            now = self.injector.change(patch)
        except ValidationError as error:
            return _unprocessable(error.errors(include_url=False, include_context=False))
        except ValueError as error:
            return _unprocessable([{"loc": [], "msg": f"the body is not valid JSON: {error}"}])
        self.changed()
        return JSONResponse(now.model_dump())

    async def submissions(self, request: Request) -> Response:
        return PythonJSON(self.submission_log.listing(int(request.query_params.get("since", "0"))))

    async def summary(self, _: Request) -> Response:
        return JSONResponse(self.submission_log.summary())

    async def restart(self, _: Request) -> Response:
        self.forget()
        self.submission_log.lose_unfinished()
        return Response(status_code=204)

    async def reset(self, _: Request) -> Response:
        """Restore the behaviour, submission log and state of the start."""
        self.forget()
        self.submission_log.submissions.clear()
        self.injector.change(self.start)
        return Response(status_code=204)

    async def health(self, _: Request) -> Response:
        return Response(status_code=204)


def _unprocessable(errors: Any) -> Response:
    return JSONResponse({"detail": errors}, status_code=422)
