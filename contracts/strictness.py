"""Strict validation of callers' messages: an unknown field is an error that suggests the right name.

Messages between services and stored documents are validated tolerantly (`extra="ignore"`), so that old
readers accept new messages. So is a caller's message with a newer contract version.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from difflib import get_close_matches
from functools import cache
from itertools import islice
from json import JSONDecodeError
from typing import Any, ClassVar, Final, Self, TypeVar, get_args

from pydantic import BaseModel, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from contracts.base import Message, Model
from contracts.bounded import refuse_excess, refuse_growth
from contracts.json_text import fault_in, loads
from contracts.scalars import Whole
from contracts.web_addresses import address_error
from contracts.wording import MAX_ERRORS

CONTRACT_VERSION: Final = 2
"""Version of the callers' messages, incremented with every new field.

1: unknown fields are ignored. 2: unknown fields are refused; seeds up to 2^64-1.
"""
MAX_VALUES: Final = 100_000
"""Maximum number of values in a message."""
MAX_CHARACTERS: Final = 320 * 1024
"""Maximum number of characters in all texts of a message."""
MAX_GROWTH: Final = 128 * 1024
"""Maximum number of characters by which the texts of a message may grow when normalised (NFKC)."""
CLOSE: Final = 0.75
"""Similarity from which a name is taken for a misspelt one, 0 to 1."""
MOST_ITEMS: Final = 100
"""Maximum number of items of a list that are searched for unknown fields."""

M = TypeVar("M", bound=BaseModel)
Path = tuple[str | int, ...]
Ancestor = tuple[Path, type[BaseModel]]


class CallerMessage(Message):
    """A message that callers may publish. Unknown fields are refused unless its version is newer."""

    contract_version: Whole = Field(default=CONTRACT_VERSION, ge=1, le=1_000_000)
    """Version of the contract that the sender knows. Unknown fields are refused, except in a message of a
    newer version than the reader's, where they are ignored."""

    sent_at: ClassVar[str | None] = None
    """Name of the field with the time of sending, where the record's time replaces a missing one."""

    def dated(self, at: datetime) -> Self:
        """Return the message with this time as its time of sending, unless it has one."""
        if self.sent_at is None or getattr(self, self.sent_at) is not None:
            return self
        return self.model_copy(update={self.sent_at: at})


class Body(Model):
    """Body of an HTTP request. Unknown fields are refused."""

    @model_validator(mode="wrap")
    @classmethod
    def _read_strictly(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return validate_strictly(cls, value, lambda: handler(value))


def read_message(kind: type[M], body: bytes) -> M:
    """Parse and validate a message of a caller.

    Raises:
        ValidationError: with at most `MAX_ERRORS` errors, unknown fields among them.
    """
    try:
        value = loads(body)
    except JSONDecodeError as error:
        fault = {"error": fault_in(error.msg, error.pos)}
        details = InitErrorDetails(type="json_invalid", loc=(), input=None, ctx=fault)
        raise ValidationError.from_exception_data(kind.__name__, [details]) from None
    if _is_newer(value):
        return kind.model_validate(value)
    return validate_strictly(kind, value, lambda: kind.model_validate(value))


def _is_newer(value: object) -> bool:
    version = value.get("contract_version") if isinstance(value, dict) else None
    if isinstance(version, bool) or not isinstance(version, int | float):
        return False
    return version > CONTRACT_VERSION  # 3.0 is 3 in JSON


def validate_strictly(kind: type[BaseModel], value: Any, validate: Callable[[], M]) -> M:
    """Validate a value and report its unknown fields together with all other errors.

    Raises:
        ValidationError: with at most `MAX_ERRORS` errors.
    """
    errors = list(islice(map(_as_error, unknown_fields(kind, value)), MAX_ERRORS))
    try:
        if isinstance(value, dict):
            refuse_growth(value, MAX_GROWTH)
        model = validate()
        if isinstance(value, dict):
            refuse_excess(value, MAX_VALUES, MAX_CHARACTERS)
        errors += _unusable_address(model)
    except ValidationError as error:
        if not errors and error.error_count() <= MAX_ERRORS:
            raise
        errors += map(_kept, error.errors(include_url=False)[:MAX_ERRORS])
    except PydanticCustomError as error:
        errors.append(InitErrorDetails(type=error, loc=(), input=value))
    if errors:
        raise ValidationError.from_exception_data(kind.__name__, errors[:MAX_ERRORS])
    return model


def _unusable_address(model: BaseModel) -> Iterator[InitErrorDetails]:
    """Yield an error if the model has a webhook address to which no request can be sent."""
    notify = getattr(model, "notify", None)
    url = getattr(notify or model, "webhook_url", None)
    if url and (fault := address_error(url)):
        path = ("notify", "webhook_url") if notify else ("webhook_url",)
        wrong = PydanticCustomError("web_address", "{fault}", {"fault": fault})
        yield InitErrorDetails(type=wrong, loc=path, input=url)


def unknown_fields(
    kind: type[BaseModel],
    value: Any,
    path: Path = (),
    ancestors: tuple[Ancestor, ...] = (),
    types: tuple[type[BaseModel], ...] = (),
) -> Iterator[tuple[Path, str, Any]]:
    """Yield the unknown fields of a value: path, hint and value of each.

    `ancestors` are the objects that contain the value, the innermost first. `types` are the models of the
    union that the value belongs to; the hint names those that have the field.
    """
    if not isinstance(value, dict):
        return
    inside, types = models_of(kind), types or _other_bodies(kind)
    for name, inner in value.items():
        if name not in kind.model_fields:
            yield (*path, name), _hint(name, kind, ancestors, types), inner
        elif name in inside:
            items = enumerate(inner[:MOST_ITEMS]) if isinstance(inner, list) else [(None, inner)]
            for step, item in items:
                place = (*path, name) if step is None else (*path, name, step)
                if (meant := _chosen(inside[name], item)) is not None:
                    yield from unknown_fields(
                        meant, item, place, ((path, kind), *ancestors), inside[name][1:] and inside[name]
                    )


@cache
def models_of(kind: type[BaseModel]) -> Mapping[str, tuple[type[BaseModel], ...]]:
    """Return the models in the fields of a model: single, in a list, or as members of a union."""
    found = {name: tuple(_models(field.annotation)) for name, field in kind.model_fields.items()}
    return {name: models for name, models in found.items() if models}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _chosen(models: tuple[type[BaseModel], ...], value: Any) -> type[BaseModel] | None:
    """Return the model of a value. Among several, its `type` decides."""
    if len(models) == 1:
        return models[0]
    tag = value.get("type") if isinstance(value, dict) else None
    return next((model for model in models if model.model_fields["type"].default == tag), None)


@cache
def _other_bodies(kind: type[BaseModel]) -> tuple[type[BaseModel], ...]:
    """Return the bodies of all request types if `kind` is one of them."""
    found: list[type[BaseModel]] = [Body] if issubclass(kind, Body) and "type" in kind.model_fields else []
    for each in found:
        found += each.__subclasses__()
    return tuple(each for each in found if "type" in each.model_fields)


def _hint(
    name: str, kind: type[BaseModel], ancestors: tuple[Ancestor, ...], types: tuple[type[BaseModel], ...]
) -> str:
    snake = snake_case(name)
    nested = {inner: f"{field}.{inner}" for field, inner in _fields_inside(kind)}
    if snake in kind.model_fields:
        return f"did you mean '{snake}'?"
    if snake in nested:
        return f"did you mean '{nested[snake]}'?"
    outside = next((path for path, outer in ancestors if snake in outer.model_fields), None)
    if outside is not None:
        return f"did you mean '{'.'.join(map(str, (*outside, snake)))}'?"
    known = list(kind.model_fields)
    if union := _union_with(snake, kind):
        return f"did you mean '{union}.{snake}'?"
    if longer := next((field for field in known if field.startswith(f"{snake}_")), None):
        return f"did you mean '{longer}'?"
    if having := [str(each.model_fields["type"].default) for each in types if snake in each.model_fields]:
        return f"'{snake}' is a field of type {_listed(having)}"
    if close := close_to(snake, known) or close_to(snake, nested):
        return f"did you mean '{nested.get(close[0], close[0]) if close[0] not in known else close[0]}'?"
    return f"known fields: {', '.join(known)}"


def close_to(name: str, known: Iterable[str]) -> list[str]:
    """Return the name that was probably meant, if one is really close."""
    return get_close_matches(name, list(known), n=1, cutoff=CLOSE)


def _union_with(name: str, kind: type[BaseModel]) -> str | None:
    """Return the field of a model whose value is one of several models of which any has this field."""
    several = ((field, models) for field, models in models_of(kind).items() if len(models) > 1)
    return next(
        (field for field, models in several if any(name in each.model_fields for each in models)), None
    )


def _listed(names: list[str]) -> str:
    *others, last = dict.fromkeys(names)
    return f"{', '.join(others)} or {last}" if others else last


def snake_case(name: str) -> str:
    """Convert a name in camel case or with hyphens to snake case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[\s-]+", "_", name[:100]).lower()


def _fields_inside(kind: type[BaseModel]) -> Iterator[tuple[str, str]]:
    for field, models in models_of(kind).items():
        if len(models) == 1:
            yield from ((field, inner) for inner in models[0].model_fields)


def _as_error(found: tuple[Path, str, Any]) -> InitErrorDetails:
    path, hint, value = found
    unknown = PydanticCustomError("unknown_field", "is not a field here; {hint}", {"hint": hint})
    return InitErrorDetails(type=unknown, loc=path, input=value)


def relocated(error: ValidationError, place: Callable[[Path], Path]) -> ValidationError:
    """Return a copy of an error with every path replaced by `place(path)`."""
    found = [_kept(details) for details in error.errors(include_url=False)]
    moved = [InitErrorDetails(**each | {"loc": place(each["loc"])}) for each in found]
    return ValidationError.from_exception_data(error.title, moved)


def _kept(details: Any) -> InitErrorDetails:
    """Return an error of pydantic in a form that can be raised again."""
    template = str(details["msg"]).replace("{", "(").replace("}", ")")
    same = PydanticCustomError(details["type"], template, details.get("ctx"))
    return InitErrorDetails(type=same, loc=details["loc"], input=details["input"])
