"""`/_sim/*`: what tests and benchmarks say to a simulator, beside the provider's own protocol."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from deploy.simulators.behaviour import Director
from deploy.simulators.python_json import PythonJSON
from deploy.simulators.submission_log import SubmissionLog


def control_routes(
    director: Director,
    submission_log: SubmissionLog,
    *,
    forget: Callable[[], None],
    changed: Callable[[], None],
) -> Mount:
    """`forget` is a restart with memory lost; `changed` lets waiting jobs use a new limit."""
    control = _Control(director, submission_log, forget, changed, director.behaviour.model_dump())
    return Mount(
        "/_sim",
        routes=[
            Route("/behaviour", control.read_behaviour, methods=["GET"]),
            Route("/behaviour", control.change_behaviour, methods=["POST"]),
            Route("/submissions", control.submissions),
            Route("/summary", control.summary),
            Route("/forget", control.lose_memory, methods=["POST"]),
            Route("/reset", control.reset, methods=["POST"]),
            Route("/health", control.health),
        ],
    )


@dataclass(frozen=True)
class _Control:
    director: Director
    submission_log: SubmissionLog
    forget: Callable[[], None]
    changed: Callable[[], None]
    start: dict[str, Any]

    async def read_behaviour(self, _: Request) -> Response:
        return JSONResponse(self.director.behaviour.model_dump())

    async def change_behaviour(self, request: Request) -> Response:
        try:
            patch = await request.json()
            if not isinstance(patch, dict):
                return _unprocessable([{"loc": [], "msg": "a JSON object is needed"}])
            now = self.director.change(patch)
        except ValidationError as error:
            return _unprocessable(error.errors(include_url=False, include_context=False))
        except ValueError as error:
            return _unprocessable([{"loc": [], "msg": f"not JSON: {error}"}])
        self.changed()
        return JSONResponse(now.model_dump())

    async def submissions(self, request: Request) -> Response:
        return PythonJSON(self.submission_log.listing(int(request.query_params.get("since", "0"))))

    async def summary(self, _: Request) -> Response:
        return JSONResponse(self.submission_log.summary())

    async def lose_memory(self, _: Request) -> Response:
        self.forget()
        self.submission_log.lose_unfinished()
        return Response(status_code=204)

    async def reset(self, _: Request) -> Response:
        """As at the start: behaviour, books and memory."""
        self.forget()
        self.submission_log.submissions.clear()
        self.director.change(self.start)
        return Response(status_code=204)

    async def health(self, _: Request) -> Response:
        return Response(status_code=204)


def _unprocessable(errors: Any) -> Response:
    return JSONResponse({"detail": errors}, status_code=422)
