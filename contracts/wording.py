"""Texts of validation errors, in the words of an API reference."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

MAX_ERRORS: Final = 20
"""Maximum number of errors in an answer."""
SHOWN: Final = 100
"""Maximum number of characters of a value in an error."""

MESSAGES: Final[Mapping[str, str]] = {
    "missing": "is required",
    "string_too_long": "must have at most {max_length} {characters}, got {length}",
    "string_too_short": "must have at least {min_length} {characters}, got {length}",
    "too_long": "must have at most {max_length} {items}, got {actual_length}",
    "too_short": "must have at least {min_length} {items}, got {actual_length}",
    "greater_than": "must be greater than {gt}, got {got}",
    "greater_than_equal": "must be at least {ge}, got {got}",
    "less_than": "must be less than {lt}, got {got}",
    "less_than_equal": "must be at most {le}, got {got}",
    "finite_number": "must be a finite number, got {got}",
    "literal_error": "must be {expected}, got {got}",
    "spelling": "must be {words}, got {got}",
    "string_pattern_mismatch": "is not in the expected form, got {got}",
    "string_type": "must be a text, got {got}",
    "string_unicode": "must be valid Unicode text",
    "int_type": "must be a whole number, got {got}",
    "int_parsing": "must be a whole number, got {got}",
    "int_parsing_size": "must be a whole number, got {got}",
    "int_from_float": "must be a whole number, got {got}",
    "float_type": "must be a number, got {got}",
    "float_parsing": "must be a number, got {got}",
    "bool_type": "must be true or false, got {got}",
    "bool_parsing": "must be true or false, got {got}",
    "uuid": "must be a UUID such as 3f1c9a52-8d0e-4f6a-9b1e-6a1d2c3b4a01, got {got}",
    "datetime_type": "must be a time such as 2026-03-14T09:26:30Z, got {got}",
    "datetime_parsing": "must be a time such as 2026-03-14T09:26:30Z, got {got}",
    "datetime_from_date_parsing": "must be a time such as 2026-03-14T09:26:30Z, got {got}",
    "datetime_object_invalid": "must be a time such as 2026-03-14T09:26:30Z, got {got}",
    "timezone_aware": "must name its time zone, such as 2026-03-14T09:26:30Z, got {got}",
    "timezone_naive": "must not name a time zone, got {got}",
    "dict_type": "must be an object, got {got}",
    "model_type": "must be an object, got {got}",
    "model_attributes_type": "must be an object, got {got}",
    "dataclass_type": "must be an object, got {got}",
    "tuple_type": "must be a list, got {got}",
    "list_type": "must be a list, got {got}",
    "invalid_key": "must have text as names",
    "none_required": "must be null, got {got}",
    "value_error": "{error}",
    "json_invalid": "is not valid JSON: {error}",
    "json_type": "must be JSON, got {got}",
    "recursion_loop": "is nested too deeply",
    "union_tag_invalid": "unknown type {tag}; known types: {types}",
    "union_tag_not_found": "is required; known types: {types}",
    "unknown_field": "is not a field here; {hint}",
    "extra_forbidden": "is not a field here",
}
"""Templates by pydantic's error type. Custom errors contain their own text."""

AGE: Final = "must be an age in years, as a number or in words, got {got}"


_NOT_OF_THE_VALUE: Final = frozenset({"missing", "unknown_field", "extra_forbidden"})
"""Types of errors that do not concern the value of a field."""


def error_text(details: Mapping[str, Any], *, types: str = "", age: bool = False) -> str:
    """Return the text of one error of a `ValidationError`, with the input if the error has it.

    `types` lists the known types of a union. `age` is True for a field that holds an age.
    """
    context = _context(details, types)
    template = MESSAGES.get(details["type"])
    if details["type"] == "union_tag_not_found" and not context["types"]:
        template = MESSAGES["missing"]
    if age and details["type"] not in _NOT_OF_THE_VALUE:
        template = AGE
    if template and "input" not in details:
        template = template.removesuffix(", got {got}").removesuffix(", got {length}")
    text = template.format(**context) if template else str(details["msg"]).removeprefix("Value error, ")
    return cut(text, 4 * SHOWN)


def _context(details: Mapping[str, Any], types: str) -> dict[str, Any]:
    """Return the values for the placeholders of a template."""
    given = details.get("input")
    context: dict[str, Any] = dict(details.get("ctx", {}))
    plural = "" if 1 in (context.get("min_length"), context.get("max_length")) else "s"
    tag = given["type"] if isinstance(given, dict) and "type" in given else context.get("tag")
    return context | {
        "got": shown(given),
        "types": types or tags(context),
        "tag": shown(tag),
        "length": len(given) if isinstance(given, str) else 0,
        "characters": f"character{plural}",
        "items": f"item{plural}",
    }


def tags(context: Mapping[str, Any]) -> str:
    """Return the known types of a union from the context of its error."""
    return str(context.get("expected_tags", "")).replace("'", "")


def shown(given: object) -> str:
    """Format a value for an error: at most `SHOWN` characters, objects and lists by their type only."""
    if isinstance(given, str):
        return f"'{cut(given, SHOWN)}'"
    if given is None or isinstance(given, bool):
        return {None: "null", True: "true", False: "false"}[given]
    if isinstance(given, int):
        return str(given) if given.bit_length() <= 64 else "a very large number"
    if isinstance(given, float):
        return repr(given)
    return "an object" if isinstance(given, dict) else "a list"


def field_path(steps: Iterable[object]) -> str:
    """Return the path of a field in a body. A field without a name is shown as `""`."""
    return ".".join(str(step) or '""' for step in steps) or "body"


def cut(text: str, length: int) -> str:
    """Return the first `length` characters of a text, with an ellipsis if it is longer."""
    return text if len(text) <= length else f"{text[:length]}…"
