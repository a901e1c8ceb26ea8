"""Lists and free-form objects of bounded size. The size is checked before the contents."""

from collections.abc import Iterator, Sized
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

from contracts.normalization import has_too_many_marks, normalized_length, refuse_marks

MAX_WORKFLOW_CHARACTERS = 256 * 1024
MAX_WORKFLOW_VALUES = 50_000
_PIECE = 4096
_VALUES_READ = 100_000


@dataclass(frozen=True)
class Items:
    """Limits on the length of a list, checked before its items are validated."""

    most: int
    least: int = 0

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._counted, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        made = {**handler(schema), "maxItems": self.most}
        if self.least:
            made["minItems"] = self.least
        return made

    def _counted(self, value: Any) -> Any:
        if isinstance(value, list | tuple) and not self.least <= len(value) <= self.most:
            raise _wrong_length(value, self.least, self.most)
        return value


def _wrong_length(value: Sized, least: int, most: int) -> PydanticKnownError:
    context: dict[str, Any] = {"field_type": "List", "actual_length": len(value)}
    if len(value) > most:
        return PydanticKnownError("too_long", context | {"max_length": most})
    return PydanticKnownError("too_short", context | {"min_length": least})


def _of_bounded_size(graph: Any) -> Any:
    if isinstance(graph, dict):
        refuse_excess(graph, MAX_WORKFLOW_VALUES, MAX_WORKFLOW_CHARACTERS, check_marks=True)
    return graph


def refuse_excess(value: Any, most_values: int, most_characters: int, *, check_marks: bool = False) -> None:
    """Refuse a JSON value with too many values or characters. Stops reading at the limit.

    Raises:
        PydanticCustomError: with code `too_many_values`, `too_much_text` or `combining_marks`.
    """
    values = characters = 0
    open_values = [value]
    while open_values:
        inner = open_values.pop()
        values += 1
        if isinstance(inner, str):
            characters += len(inner)
            if check_marks and characters <= most_characters:
                refuse_marks(inner)
        elif isinstance(inner, dict):
            open_values.extend(inner.values())
            open_values.extend(inner.keys())
        elif isinstance(inner, list | tuple):
            open_values.extend(inner)
        if characters > most_characters:
            raise PydanticCustomError(
                "too_much_text",
                "must have at most {most} characters of text in all",
                {"most": most_characters},
            )
        if values + len(open_values) > most_values:
            raise PydanticCustomError(
                "too_many_values", "must have at most {most} values in all", {"most": most_values}
            )


def refuse_growth(value: Any, most: int) -> None:
    """Refuse a JSON value whose texts grow by more than `most` characters when normalised (NFKC).

    Stops reading at the limit.

    Raises:
        PydanticCustomError: with code `too_much_text`.
    """
    growth = 0
    for text in _texts(value):
        if text.isascii():
            continue
        for start in range(0, len(text), _PIECE):
            piece = text[start : start + _PIECE]
            if has_too_many_marks(piece):
                break  # the validator of the field reports it
            growth += normalized_length(piece) - len(piece)
            if growth > most:
                raise PydanticCustomError(
                    "too_much_text",
                    "has too many ligatures and symbols: its texts grow by more than {most} characters when"
                    " normalised (NFKC)",
                    {"most": most},
                )


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts among the first `_VALUES_READ` values. `refuse_excess` refuses longer messages."""
    open_values = [value]
    for _ in range(_VALUES_READ):
        if not open_values:
            return
        inner = open_values.pop()
        if isinstance(inner, str):
            yield inner
        elif isinstance(inner, dict):
            open_values.extend(inner.values())
        elif isinstance(inner, list | tuple):
            open_values.extend(inner)


Workflow = Annotated[dict[str, Any], BeforeValidator(_of_bounded_size)]
"""A ComfyUI graph in API format from a caller: at most 256 KiB of JSON, 80 levels deep."""
