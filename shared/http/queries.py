"""Query parameters that an operation does not have are refused, as unknown fields of bodies are."""

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from contracts.http import FieldError
from contracts.strictness import snake_case
from contracts.wording import MAX_ERRORS, cut
from shared.http.problems import FIELD_SHOWN, Refusal


def include_strictly(app: FastAPI, router: APIRouter) -> None:
    """Add routes that answer 422 to query parameters which they do not take."""
    app.include_router(router, dependencies=[Depends(_refuse_unknown)])


async def _refuse_unknown(request: Request) -> None:
    if not request.query_params:
        return
    known = _parameters(request.scope["route"])
    unknown = islice((name for name in request.query_params if name not in known), MAX_ERRORS)
    errors = [
        FieldError(
            field=cut(name, FIELD_SHOWN), message=f"is not a query parameter here; {_hint(name, known)}"
        )
        for name in unknown
    ]
    if errors:
        raise Refusal(422, "; ".join(f"{error.field}: {error.message}" for error in errors), errors)


def _parameters(route: APIRoute) -> tuple[str, ...]:
    """Return the query parameters that a route and its dependencies read."""
    return tuple(dict.fromkeys(field.alias for field in _read_by(route.dependant)))


def _read_by(dependant: Dependant) -> Iterator[ModelField]:
    yield from dependant.query_params
    for inner in dependant.dependencies:
        yield from _read_by(inner)


def _hint(name: str, known: tuple[str, ...]) -> str:
    if close := get_close_matches(snake_case(name), known, n=1):
        return f"did you mean '{close[0]}'?"
    return f"known parameters: {', '.join(known)}" if known else "it takes none"
