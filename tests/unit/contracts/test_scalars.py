"""User ids, seeds and other single values: accepted values and error texts."""

import json
import re
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from contracts.base import Flag, Id, Line, Name, Number, Seed, Text, UserId, WebAddress, Whole
from contracts.scalars import LARGEST_EXACT, LARGEST_SEED, decimals_up_to
from contracts.wording import error_text
from shared.http.header_text import header_text

USER_IDS = [
    "auth0|5f7c8ec7c33c6c004bbafe82",
    "google-oauth2|1234",
    "jane+test@example.com",
    "-V1StGXR8_Z5jdHi6B",
    "_abc",
    "Ünïcode Ω",
    "用户/42",
    "مستخدم",
    "a b",
    "x" * 256,
    "{}$.'\"<>&?#%",
]
WRITTEN = "3f1c9a52-8d0e-4f6a-9b1e-6a1d2c3b4a01"
INVISIBLE = ["\u3164", "\u2800 \u115f", "\ufe0f", "ann\ufeff", "\ufeffann", "ann\u200b", "\u3164ann"]


class Seeded(BaseModel):
    seed: Seed


def refusal(kind: Any, value: object) -> str:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(value)
    return error_text(refused.value.errors()[0])


@pytest.mark.parametrize("user_id", USER_IDS)
def test_a_user_id_is_any_printable_text(user_id: str) -> None:
    assert TypeAdapter(UserId).validate_python(user_id) == user_id


@pytest.mark.parametrize(
    "user_id", ["", " ", "a\nb", "a\x00b", "a\x7fb", "a\u2028b", "x" * 257, "\ud800", *INVISIBLE]
)
def test_a_user_id_that_cannot_be_printed_or_is_too_long_is_refused(user_id: str) -> None:
    assert "^" not in refusal(UserId, user_id)


def test_a_tenant_is_a_strict_name() -> None:
    assert refusal(Name, "a/b").startswith("must be a name of at most 128 characters: letters, digits")


@pytest.mark.parametrize("user_id", ["用户", "é", "plain"])
def test_a_header_in_utf_8_or_latin_1_is_read(user_id: str) -> None:
    assert header_text(user_id.encode().decode("latin-1")) == user_id
    assert header_text("é") == "é"


@pytest.mark.parametrize("seed", [0, 42, LARGEST_EXACT, 2**53, 2**53 + 1, 2**63, LARGEST_SEED])
def test_a_seed_keeps_its_value_as_a_number_and_as_text(seed: int) -> None:
    for given_ in (seed, str(seed)):
        read = Seeded.model_validate_json(json.dumps({"seed": given_}))
        assert read.seed == seed
        written = json.loads(read.model_dump_json())["seed"]
        assert int(written) == seed
        assert isinstance(written, int) == (seed <= LARGEST_EXACT), "JavaScript rounds larger numbers"
        assert Seeded.model_validate_json(read.model_dump_json()) == read


@pytest.mark.parametrize("seed", [-1, 2**64, 10**30, "-1", "1e3", "", "0x7", True, 1.5, str(2**64)])
def test_a_seed_outside_64_bits_or_in_other_forms_is_refused(seed: object) -> None:
    assert refusal(Seed, seed).startswith("must be ")


@given(st.integers(0, 12_000))
def test_the_pattern_of_decimal_texts_ends_at_the_largest(number: int) -> None:
    pattern = re.compile(decimals_up_to(10_987))
    assert bool(pattern.match(str(number))) == (number <= 10_987)


@pytest.mark.parametrize("value", ["4", "", "many", True, False, None, 4.5, [], {}])
def test_a_text_or_boolean_is_refused_as_an_integer(value: object) -> None:
    assert refusal(Whole, value).startswith("must be a whole number, got ")


def test_a_whole_number_may_be_written_with_a_decimal_point() -> None:
    assert TypeAdapter(Whole).validate_python(4.0) == 4


@pytest.mark.parametrize("value", ["true", "yes", 1, 0, None])
def test_a_flag_is_true_or_false(value: object) -> None:
    assert refusal(Flag, value).startswith("must be true or false, got ")


@pytest.mark.parametrize("value", ["1.0", True])
def test_a_text_or_boolean_is_refused_as_a_number(value: object) -> None:
    assert refusal(Number, value).startswith("must be a number, got ")


def test_the_length_of_a_text_with_ligatures_is_that_of_its_normal_form() -> None:
    assert TypeAdapter(Line).validate_python("ﬁne ½ ﷺ") == "ﬁne ½ ﷺ"
    assert refusal(Text, "ﷺ" * 4000).startswith("must have at most 8000 characters with its ligatures")
    assert refusal(Text, "ﷺ" * 4001) == "must have at most 4000 characters, got 4001"


@pytest.mark.parametrize("text", ["tiếng Việt", "e\u0301" * 1000, "กี่ปี้", "עִבְרִית", "a" + "\u0301" * 30])
def test_a_text_may_have_the_combining_marks_of_its_script(text: str) -> None:
    assert TypeAdapter(Text).validate_python(text) == text


def test_a_text_with_more_combining_marks_on_a_character_is_refused() -> None:
    assert refusal(Text, "a" + "\u0301" * 31) == "must have at most 30 combining marks on one character"


@pytest.mark.parametrize("seed", ["0005", "00", "007"])
def test_a_seed_in_text_has_no_leading_zeros(seed: str) -> None:
    assert refusal(Seed, seed) == "must be decimal text without leading zeros"


@pytest.mark.parametrize("seed", [float(2**53), 2.0**63, 1e19])
def test_a_number_that_may_have_been_rounded_is_no_seed(seed: float) -> None:
    assert refusal(Seed, seed).startswith("must be written without a decimal point or exponent")
    assert TypeAdapter(Seed).validate_python(float(LARGEST_EXACT)) == LARGEST_EXACT


@pytest.mark.parametrize(
    "text",
    ["{" + WRITTEN + "}", WRITTEN.replace("-", ""), f"urn:uuid:{WRITTEN}", WRITTEN + "\n", f" {WRITTEN}"],
)
def test_an_id_is_a_uuid_with_hyphens(text: str) -> None:
    assert refusal(Id, text).startswith("must be a UUID such as")
    assert TypeAdapter(Id).validate_python(WRITTEN.upper()) == WRITTEN
    assert TypeAdapter(Id).validate_python(UUID(WRITTEN)) == WRITTEN


def test_the_scheme_of_an_address_may_be_in_capitals() -> None:
    assert TypeAdapter(WebAddress).validate_python("HTTPS://Shop.example/A") == "https://Shop.example/A"
