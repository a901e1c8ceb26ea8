"""Callers' messages are validated strictly; internal messages and newer contracts tolerantly."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.base import Model
from contracts.generation import GenerationCancel, GenerationPlanned, GenerationRequested, Notify
from contracts.http import LoraTrainingSubmission, StudioSubmission
from contracts.http_chains import BaseImageSelection
from contracts.strictness import CONTRACT_VERSION, CallerMessage, read_message
from contracts.wording import error_text
from shared.kafka.decoding import read

JOB = "3f1c9a52-8d0e-4f6a-9b1e-6a1d2c3b4a01"
MIA = {"name": "Mia", "age": 27}
REQUESTED = {"job_id": JOB, "tenant": "acme", "user_id": "u"}


def requested(request: dict[str, Any], **more: Any) -> dict[str, Any]:
    return REQUESTED | {"request": {"type": "studio", "character": MIA} | request} | more


def errors(kind: type[Model], body: Any) -> dict[str, str]:
    """Return the errors of a message or a body by field."""

    def read_it() -> Model:
        if issubclass(kind, CallerMessage):
            return read_message(kind, json.dumps(body).encode())
        return kind.model_validate(body)

    with pytest.raises(ValidationError) as refused:
        read_it()
    found = refused.value.errors()
    return {".".join(map(str, error["loc"])): error_text(error) for error in found}


@pytest.mark.parametrize(
    ("body", "field", "hint"),
    [
        ({"scen": "beach"}, "scen", "did you mean 'scene'?"),
        ({"includeNsfw": True}, "includeNsfw", "did you mean 'include_nsfw'?"),
        ({"characterID": JOB}, "characterID", "did you mean 'character_id'?"),
        ({"appearance": {}}, "appearance", "did you mean 'character.appearance'?"),
        ({"zzz": 1}, "zzz", "known fields: "),
    ],
)
def test_an_unknown_field_is_refused_with_a_suggestion(body: dict[str, Any], field: str, hint: str) -> None:
    said = errors(StudioSubmission, {"character": MIA} | body)
    assert said[field].startswith(f"is not a field here; {hint}")
    assert errors(GenerationRequested, requested(body))[f"request.{field}"] == said[field] or "zzz" in body


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ("setId", "'set_id' is a field of type profile_pictures"),
        ("set_id", "'set_id' is a field of type profile_pictures"),
        ("images", "'images' is a field of type lora_training"),
        ("then", "'then' is a field of type character_sheet or lora_training"),
    ],
)
def test_a_field_of_another_type_is_refused_with_that_type(field: str, hint: str) -> None:
    said = errors(StudioSubmission, {"character": MIA, field: "x"})
    assert said == {field: f"is not a field here; {hint}"}
    asked = errors(GenerationRequested, requested({field: "x"}))[f"request.{field}"]
    assert asked == said[field] or field == "then", "over Kafka it lies beside the request"


def test_a_field_of_another_type_of_follow_up_is_refused_with_that_type() -> None:
    body = requested({}, then=[{"type": "lora_training", "scene": "x"}, {"type": "studio", "setId": "x"}])
    assert errors(GenerationRequested, body) == {
        "then.0.scene": "is not a field here; 'scene' is a field of type studio",
        "then.1.setId": "is not a field here; 'set_id' is a field of type profile_pictures",
    }


def test_a_training_requires_the_id_of_its_character() -> None:
    body = {"character_id": JOB, "images": [f"{JOB}/{n}" for n in range(4)], "trigger_word": "mkv"}
    said = errors(LoraTrainingSubmission, body | {"character": MIA})
    assert said == {"character": "is not a field here; did you mean 'character_id'?"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (requested({"character": MIA | {"appearence": {}}}), "request.character.appearence"),
        (
            requested({"character": MIA | {"appearance": {"hairColor": "red"}}}),
            "request.character.appearance.hairColor",
        ),
        (requested({}, notify={"webhookUrl": "http://a"}), "notify.webhookUrl"),
        (
            requested({}, then=[{"type": "lora_training"}, {"type": "studio", "scen": "x"}]),
            "then.1.scen",
        ),
        (requested({}, user="u"), "user"),
    ],
)
def test_unknown_fields_are_found_at_every_level(body: dict[str, Any], field: str) -> None:
    assert "did you mean" in errors(GenerationRequested, body)[field]


def test_unknown_fields_are_reported_with_all_other_errors() -> None:
    said = errors(StudioSubmission, {"character": MIA, "scen": "beach", "count": "4", "include_nsfw": 1})
    assert said == {
        "scen": "is not a field here; did you mean 'scene'?",
        "count": "must be a whole number, got '4'",
        "include_nsfw": "must be true or false, got 1",
    }


def test_a_workflow_may_have_any_fields() -> None:
    body = requested({"workflow": {"1": {"class_type": "X", "inputs": {"type": "studio", "scen": 1}}}})
    assert read_message(GenerationRequested, json.dumps(body).encode())


def test_a_selection_and_a_cancel_are_validated_strictly() -> None:
    assert "base_image_id" in errors(BaseImageSelection, {"baseImageId": f"{JOB}/0"})["baseImageId"]
    cancel = {"job_id": JOB, "tenant": "acme", "reson": "x"}
    assert errors(GenerationCancel, cancel) == {"reson": "is not a field here; did you mean 'reason'?"}


def test_unknown_fields_of_a_newer_contract_are_ignored() -> None:
    body = requested({"mood": "calm"}, contract_version=CONTRACT_VERSION + 1)
    assert isinstance(read_message(GenerationRequested, json.dumps(body).encode()), GenerationRequested)
    body["contract_version"] = CONTRACT_VERSION
    assert "request.mood" in errors(GenerationRequested, body)


@pytest.mark.parametrize("version", ["3", True, 0, 10**30, None])
def test_a_contract_version_is_an_integer(version: object) -> None:
    assert "contract_version" in errors(GenerationRequested, requested({}, contract_version=version))


def test_a_newer_contract_does_not_excuse_a_wrong_value() -> None:
    body = requested({"count": "4"}, contract_version=CONTRACT_VERSION + 1)
    assert list(errors(GenerationRequested, body)) == ["request.studio.count"]


def test_an_address_without_a_usable_host_or_port_is_refused_from_kafka_and_kept_in_stored_documents() -> (
    None
):
    notify = {"webhook_url": "http://shop.example:99999/"}
    assert list(errors(GenerationRequested, requested({}, notify=notify))) == ["notify.webhook_url"]
    assert Notify.model_validate(notify).webhook_url == notify["webhook_url"], "as a job keeps it"


def test_internal_messages_are_validated_tolerantly() -> None:
    planned = {
        **REQUESTED,
        "type": "studio",
        "request_hash": "0" * 64,
        "requested_at": "2026-03-01T12:00:00Z",
        "character": MIA | {"later": 1},
        "renders": [{"index": 0, "label": "1", "prompt": "p", "later": 1}],
        "later": 1,
    }
    assert isinstance(read(GenerationPlanned, json.dumps(planned).encode()), GenerationPlanned)


def test_a_field_of_the_request_beside_it_is_named_where_it_belongs() -> None:
    body = requested({}) | {"character": {}, "scene": "beach"}
    found = errors(GenerationRequested, body)
    assert found["character"] == "is not a field here; did you mean 'request.character'?"
    assert found["scene"] == "is not a field here; did you mean 'request.scene'?"


@pytest.mark.parametrize("version", [CONTRACT_VERSION + 1, float(CONTRACT_VERSION + 1)])
def test_a_newer_version_may_be_written_with_a_decimal_point(version: float) -> None:
    newer = json.dumps(requested({"mood": "calm"}, contract_version=version)).encode()
    assert read_message(GenerationRequested, newer).contract_version == CONTRACT_VERSION + 1
    same = errors(GenerationRequested, requested({"mood": "calm"}, contract_version=float(CONTRACT_VERSION)))
    assert list(same) == ["request.mood"]
