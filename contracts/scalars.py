"""Types of single values: names, texts, numbers, ids and times, with readable validation errors."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

from contracts.normalization import normalized_length

LARGEST_SEED = 2**64 - 1
"""Largest seed of ComfyUI."""
LARGEST_EXACT = 2**53 - 1
"""Largest integer that JavaScript reads exactly from JSON."""

_CONTROL = r"\u0000-\u001f\u007f-\u009f"
_CONTROL_BUT_SPACES = r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f"
_UNPRINTABLE = _CONTROL + r"\u2028-\u202e\u2066-\u2069"
"""Control characters, line separators, and marks that change the direction of text."""
UUID_PATTERN = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_WRITTEN_UUID = re.compile(UUID_PATTERN, re.IGNORECASE)
_EMPTY = r"\u00ad\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2064\u2800\u3164\ufeff\uffa0"
"""Characters that show nothing and change nothing beside them."""
_INVISIBLE = _EMPTY + r"\u034f\u061c\u180b-\u180d\u200c-\u200f\ufe00-\ufe0f"
_MOST_GROWTH = 2
"""Factor by which a normalised text (NFKC) may exceed its limit. One ligature may become 18 characters."""


@dataclass(frozen=True)
class TextPattern:
    """A pattern for the JSON Schema, and its description for errors."""

    pattern: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        compiled = re.compile(self.pattern.removeprefix("^").removesuffix("$"))

        def check(value: str) -> str:
            if compiled.fullmatch(value) is None:
                raise PydanticCustomError("spelling", "must be {words}", {"words": self.words})
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "pattern": self.pattern}


@dataclass(frozen=True)
class FreeText:
    """A text without control characters: at most `longest` characters, twice that when normalised (NFKC)."""

    longest: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        limited = core_schema.str_schema(max_length=self.longest)
        return core_schema.no_info_after_validator_function(self._check, limited)

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^[^{_CONTROL_BUT_SPACES}]*$"}

    def _check(self, value: str) -> str:
        for character in value:
            if unicodedata.category(character) == "Cc" and character not in "\n\t\r":
                code = f"U+{ord(character):04X}"
                raise PydanticCustomError(
                    "control_character", "must not contain the control character {code}", {"code": code}
                )
        if normalized_length(value) > _MOST_GROWTH * self.longest:
            raise PydanticCustomError(
                "string_too_long_normalized",
                "must have at most {longest} characters with its ligatures and symbols written out (NFKC)",
                {"longest": _MOST_GROWTH * self.longest},
            )
        return value


def _canonical_uuid(value: object) -> str:
    text = str(value) if isinstance(value, UUID) else value
    if isinstance(text, str) and _WRITTEN_UUID.fullmatch(text):
        return text.lower()
    raise PydanticCustomError("uuid", "must be a UUID such as 3f1c9a52-8d0e-4f6a-9b1e-6a1d2c3b4a01")


def _milliseconds(value: datetime) -> datetime:
    """Convert to UTC and cut to milliseconds, the precision of MongoDB."""
    try:
        utc = value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("time_range", "is too far away to be a time in UTC") from None
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


def _a_number(value: object) -> object:
    """Refuse texts and booleans, which pydantic would convert. 4.0 is an integer in JSON."""
    if isinstance(value, bool | str | bytes):
        raise PydanticKnownError("int_type")
    if isinstance(value, float) and abs(value) > LARGEST_EXACT and isfinite(value):
        message = "must be written without a decimal point or exponent: it may have been rounded"
        raise PydanticCustomError("inexact", message)
    return value


def _a_real_number(value: object) -> object:
    if isinstance(value, bool | str | bytes):
        raise PydanticKnownError("float_type")
    return value


def _a_seed(value: object) -> object:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 20:
        if value.startswith("0") and value != "0":
            raise PydanticCustomError("leading_zeros", "must be decimal text without leading zeros")
        return int(value)
    return _a_number(value)


def _exact_in_javascript(seed: int) -> int | str:
    return seed if seed <= LARGEST_EXACT else str(seed)


def _scheme_in_lower_case(address: str) -> str:
    scheme, separator, rest = address.partition("://")
    return scheme.lower() + separator + rest


def decimals_up_to(largest: int) -> str:
    """Return a pattern for the decimal texts from 0 to `largest`, without leading zeros."""
    digits = str(largest)
    branches = ["0", f"[1-9][0-9]{{0,{len(digits) - 2}}}"]
    for place, digit in enumerate(digits):
        low = 1 if place == 0 else 0
        if int(digit) > low:
            rest = len(digits) - place - 1
            branches.append(f"{digits[:place]}[{low}-{int(digit) - 1}][0-9]{{{rest}}}")
    return f"^({'|'.join([*branches, digits])})$"


Id = Annotated[str, BeforeValidator(_canonical_uuid), WithJsonSchema({"type": "string", "format": "uuid"})]
"""A UUID in its canonical text form."""

Moment = Annotated[AwareDatetime, AfterValidator(_milliseconds)]
"""A time in UTC with millisecond precision. Times without a zone are refused."""

Name = Annotated[
    str,
    TextPattern(
        r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$",
        "a name of at most 128 characters: letters, digits and . _ : @ - with a letter or digit first",
    ),
]
"""Id of a tenant: letters, digits and `._:@-`, a letter or digit first, at most 128 characters."""

UserId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=256),
    TextPattern(
        rf"^(?![{_EMPTY}])[^{_UNPRINTABLE}]*[^{_UNPRINTABLE}{_INVISIBLE}\s]"
        rf"([^{_UNPRINTABLE}]*[^{_UNPRINTABLE}{_EMPTY}])?$",
        "printable text of 1 to 256 characters, without invisible characters at its ends",
    ),
]
"""Id of a user from an identity provider: any printable text of 1 to 256 characters."""

Line = Annotated[str, FreeText(200)]
"""A short text of at most 200 characters, without control characters."""

Text = Annotated[str, FreeText(4000)]
"""A text of at most 4000 characters, without control characters."""

ObjectKey = Annotated[str, FreeText(1024)]
"""Key of an object in the bucket."""

WebAddress = Annotated[
    str,
    StringConstraints(max_length=2000),
    TextPattern(
        r"^[Hh][Tt][Tt][Pp][Ss]?://[!-~]+$",
        "an address that begins with http:// or https://, in ASCII without spaces",
    ),
    AfterValidator(_scheme_in_lower_case),
]

MAX_CHARACTER_ID = 128


def _uuids_in_lower_case(value: str) -> str:
    return value.lower() if _WRITTEN_UUID.fullmatch(value) else value


CharacterId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_CHARACTER_ID),
    TextPattern(
        rf"^(?!\.{{1,2}}$)(?![\s])[^/\\{_CONTROL}\u2028\u2029]*[^/\\\s{_CONTROL}\u2028\u2029]$",
        "an id such as char-123: 1 to 128 printable characters without '/' and '\\' (it is part of"
        " addresses), without spaces at its ends, and not '.' or '..'",
    ),
    AfterValidator(_uuids_in_lower_case),
]
"""The caller's own id of a character, such as `char-123` or `auth0|x`. Unique within a tenant.

At most 128 printable characters without `/` and `\\`, because it is part of URLs. A UUID is converted to
lower case.
"""

AssetId = Annotated[
    str,
    TextPattern(
        rf"^{UUID_PATTERN}/(0|[1-9][0-9]{{0,2}})$",
        "the id of an image: its job's id in lower case and its index without leading zeros,"
        " such as 3f1c9a52-8d0e-4f6a-9b1e-6a1d2c3b4a01/0",
    ),
]
"""Id of a stored image or LoRA: `{job_id}/{index}` (`contracts.ids.RenderKey`)."""

Whole = Annotated[int, BeforeValidator(_a_number)]
"""An integer. Texts and booleans are not converted."""

Number = Annotated[float, BeforeValidator(_a_real_number)]
"""A number. Texts and booleans are not converted."""

Flag = Annotated[bool, Field(strict=True)]
"""True or false. Texts and numbers are not converted."""

Years = Annotated[
    Whole,
    Field(ge=-9999, le=9999),
    WithJsonSchema({"type": "integer", "minimum": 18, "maximum": 120}),
]
"""An age in years. Planning rejects implausible values, such as a year of birth, with a clear message."""

Seed = Annotated[
    int,
    Field(ge=0, le=LARGEST_SEED),
    BeforeValidator(_a_seed),
    PlainSerializer(_exact_in_javascript, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": LARGEST_SEED},
                {"type": "string", "pattern": decimals_up_to(LARGEST_SEED)},
            ]
        }
    ),
]
"""A seed from 0 to 2^64-1. In published JSON it is a number up to 2^53-1 and a decimal text above, so that
JavaScript reads it exactly. Both forms are accepted for any seed."""
