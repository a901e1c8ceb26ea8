"""Limits on messages: lists are counted first, errors number at most 20, texts and graphs are bounded."""

import json
from time import perf_counter
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, BeforeValidator, TypeAdapter, ValidationError

from contracts.base import Model, Workflow
from contracts.bounded import Items
from contracts.generation import GenerationRequested
from contracts.http import CharacterSheetSubmission, LoraTrainingSubmission, StudioSubmission
from contracts.strictness import read_message
from contracts.wording import MAX_ERRORS, error_text
from prompts.unreadable_requests import reasons_of

JOB = "3f1c9a52-8d0e-4f6a-9b1e-6a1d2c3b4a01"
MIA = {"name": "Mia", "age": 27}
SHEET = {"type": "character_sheet", "character": MIA, "base_image_id": f"{JOB}/0"}
BODY = {"job_id": JOB, "tenant": "acme", "user_id": "u", "request": SHEET}
TRAINING = {"character_id": JOB, "trigger_word": "mia7", "images": [f"{JOB}/{n}" for n in range(4)]}

MARKS = "\u0301\u0323"
"""Marks that normalisation reorders pair by pair."""

GENEROUS_SECONDS = 5.0
"""A limit that only unbounded work exceeds, even on a busy machine."""


def refusal(kind: type[BaseModel], body: Any) -> ValidationError:
    with pytest.raises(ValidationError) as refused:
        kind.model_validate(body)
    return refused.value


def nested(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(levels):
        inner = {"n": inner}
    return inner


def test_the_length_of_a_list_is_checked_before_its_items() -> None:
    read: list[object] = []

    def note(item: object) -> object:
        read.append(item)
        return item

    bounded: TypeAdapter[Any] = TypeAdapter(
        Annotated[tuple[Annotated[int, BeforeValidator(note)], ...], Items(20)]
    )
    with pytest.raises(ValidationError) as refused:
        bounded.validate_python([1] * 600_000)
    assert (read, refused.value.error_count()) == ([], 1)
    assert bounded.validate_python([1] * 20)
    assert len(read) == 20


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        (CharacterSheetSubmission, {**SHEET, "then": [1] * 600_000}, "then"),
        (CharacterSheetSubmission, {**SHEET, "only": ["x"] * 600_000}, "only"),
        (LoraTrainingSubmission, TRAINING | {"images": ["x"] * 300_000}, "images"),
        (LoraTrainingSubmission, TRAINING | {"captions": [1] * 600_000}, "captions"),
    ],
)
def test_a_list_that_is_too_long_is_one_error(kind: type[Model], body: dict[str, Any], field: str) -> None:
    started = perf_counter()
    [error] = refusal(kind, body).errors()
    assert error["loc"] == (field,)
    assert error_text(error).startswith("must have at most ")
    assert perf_counter() - started < GENEROUS_SECONDS


@pytest.mark.parametrize(
    "body",
    [
        {**BODY, "then": [1] * 60_000},
        {**BODY, "then": [{"type": "studio", **{f"x{n}": 1 for n in range(3_000)}}] * 20},
        {**BODY, **{f"x{n}": n for n in range(60_000)}},
        {**BODY, "request": {**SHEET, **{f"{n}" * 100: n for n in range(9_000)}}},
        {**BODY, "x" * 900_000: 1},
        {**BODY, "tenant": "x" * 900_000},
        {**BODY, "request": {**SHEET, "prompt": "ﷺ" * 250_000}},
        {**BODY, "request": {**SHEET, "character": {**MIA, "age": "1" * 900_000}}},
        {**BODY, "request": {**SHEET, "workflow": {f"{n}": {} for n in range(90_000)}}},
        {**BODY, "then": [{"type": "studio", "workflow": {"1": "ﷺ" * 14_000}}] * 20},
        {**BODY, "request": {**SHEET, "prompt": "a" + MARKS * 2_000}},
        {**BODY, "then": [{"type": "studio", "workflow": {"1": "a" + MARKS * 6_000}}] * 20},
    ],
    ids=[
        *("wrong items", "unknown in items", "unknown", "similar names", "long name", "long tenant"),
        *("ligatures", "age", "nodes", "workflows of ligatures", "marks", "workflows of marks"),
    ],
)
def test_a_record_of_a_megabyte_is_cheap_and_has_at_most_twenty_errors(body: dict[str, Any]) -> None:
    text = json.dumps(body, ensure_ascii=False).encode()
    started = perf_counter()
    with pytest.raises(ValidationError) as refused:
        read_message(GenerationRequested, text)
    reasons = reasons_of(refused.value)
    assert 1 <= len(reasons) <= MAX_ERRORS
    assert refused.value.error_count() <= MAX_ERRORS
    assert max(len(reason.message) + len(reason.field) for reason in reasons) < 1000
    assert perf_counter() - started < GENEROUS_SECONDS


@pytest.mark.parametrize("digits", [20, 4000])
@pytest.mark.parametrize(
    ("field", "path"),
    [
        ("age", "request.character.age"),
        ("count", "request.count"),
        ("seed", "request.seed"),
        ("only", "request.only.0"),
    ],
)
def test_a_number_of_many_digits_is_refused_in_every_field(digits: int, field: str, path: str) -> None:
    number = 10 ** (digits - 1)
    given: dict[str, Any] = {
        "age": {"character": MIA | {"age": number}},
        "count": {"count": number},
        "seed": {"seed": number * 10},
        "only": {"only": [number]},
    }[field]
    text = json.dumps({**BODY, "request": {**SHEET, **given}}).encode()
    with pytest.raises(ValidationError) as refused:
        read_message(GenerationRequested, text)
    assert [reason.field for reason in reasons_of(refused.value)] == [path]


@pytest.mark.parametrize(
    ("workflow", "message"),
    [
        ({"1": "x" * (256 * 1024 + 1)}, "must have at most 262144 characters of text in all"),
        ({f"{n}": n for n in range(30_000)}, "must have at most 50000 values in all"),
        ({"1": [[]] * 60_000}, "must have at most 50000 values in all"),
    ],
)
def test_a_workflow_that_is_larger_than_any_graph_is_refused(workflow: Any, message: str) -> None:
    [error] = refusal(StudioSubmission, {"character": MIA, "workflow": workflow}).errors()
    assert (error["loc"], error_text(error)) == (("workflow",), message)


@pytest.mark.parametrize(("follow_ups", "is_accepted"), [(1, True), (3, False)])
def test_the_text_of_all_workflows_of_a_message_is_bounded(follow_ups: int, is_accepted: bool) -> None:
    text = "she walks " * 12_000
    then = [{"type": "studio", "workflow": {"1": {"inputs": {"text": text}}}}] * follow_ups
    body = json.dumps(BODY | {"then": then}).encode()
    if is_accepted:
        assert len(read_message(GenerationRequested, body).then) == follow_ups
    else:
        with pytest.raises(ValidationError, match="at most 327680 characters of text in all"):
            read_message(GenerationRequested, body)


def test_a_deep_workflow_is_measured_without_recursion() -> None:
    assert TypeAdapter(Workflow).validate_python(nested(20_000))
