"""Query parameters that an operation does not have, and values that are given twice, are refused."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, Literal, cast

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.params import Header

from contracts.http import FieldError
from contracts.strictness import close_to, snake_case
from contracts.wording import MAX_ERRORS, cut, field_path
from shared.http.problems import FIELD_SHOWN, Refusal


def include_strictly(app: FastAPI, router: APIRouter) -> None:
    """Add routes that answer 422 to query parameters which they do not take, and to repeated values."""
    app.include_router(router, dependencies=[Depends(_refuse_unread)])


async def _refuse_unread(request: Request) -> None:
    """Refuse what the route would leave unread: unknown parameters, and all but one of several values."""
    dependant = request.scope["route"].dependant
    faults = chain(_repeated_headers(request, dependant), _parameters(request, dependant))
    errors = list(islice(faults, MAX_ERRORS))
    if errors:
        raise Refusal(422, "; ".join(f"{error.field}: {error.message}" for error in errors), errors)


def _repeated_headers(request: Request, dependant: Dependant) -> Iterator[FieldError]:
    for field in _fields(dependant, "header_params"):
        info = cast(Header, field.field_info)  # one that is not documented, a trace, may make no sense
        if info.include_in_schema and (times := len(request.headers.getlist(field.alias))) > 1:
            yield FieldError(field=field.alias, message=_given(times))


def _parameters(request: Request, dependant: Dependant) -> Iterator[FieldError]:
    if not request.query_params:
        return
    known = tuple(dict.fromkeys(field.alias for field in _fields(dependant, "query_params")))
    for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            message = f"is not a query parameter here; {_hint(name, known)}"
            yield FieldError(field=field_path([cut(name, FIELD_SHOWN)]), message=message)
        elif times > 1:
            yield FieldError(field=name, message=_given(times))


def _given(times: int) -> str:
    return f"must be given once, is given {times} times"


def _fields(dependant: Dependant, kind: Literal["header_params", "query_params"]) -> Iterator[Any]:
    """Yield the headers or query parameters that a route and its dependencies read."""
    yield from getattr(dependant, kind)
    for inner in dependant.dependencies:
        yield from _fields(inner, kind)


def _hint(name: str, known: tuple[str, ...]) -> str:
    if close := close_to(snake_case(name), known):
        return f"did you mean '{close[0]}'?"
    return f"known parameters: {', '.join(known)}" if known else "it takes none"
