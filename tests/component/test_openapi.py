"""The OpenAPI documents: every operation is described, its examples are valid, and its schema is honest."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from contracts.scalars import LARGEST_SEED
from tests.component.test_documentation import application
from tests.fakes.api import ApiHarness

JSON = "application/json"


def operations() -> Iterator[Any]:
    for service in ("api", "notifier"):
        document = application(service).openapi()
        for path, found in document["paths"].items():
            for method, operation in found.items():
                yield pytest.param(document, operation, id=f"{service} {method.upper()} {path}")


OPERATIONS = list(operations())


@pytest.mark.parametrize(("document", "operation"), OPERATIONS)
def test_every_operation_and_parameter_is_described_with_an_example(
    document: dict[str, Any], operation: dict[str, Any]
) -> None:
    assert operation["summary"]
    assert operation["description"]
    for parameter in operation.get("parameters", ()):
        assert parameter.get("description"), parameter["name"]
        assert "example" in parameter, parameter["name"]
    assert any("example" in body for body in success_bodies(operation)), "no example of an answer"
    if "requestBody" in operation:
        assert examples_in(operation["requestBody"]["content"][JSON])


@pytest.mark.parametrize(("document", "operation"), OPERATIONS)
def test_every_example_is_valid_by_its_schema(document: dict[str, Any], operation: dict[str, Any]) -> None:
    described = [*success_bodies(operation), *operation.get("parameters", ())]
    described += operation.get("requestBody", {}).get("content", {}).values()
    for each in described:
        for example in examples_in(each) if "schema" in each else ():
            schema = {**each["schema"], "components": document["components"]}
            jsonschema_rs.validator_for(schema, validate_formats=True).validate(example)


@pytest.mark.parametrize("name", ["nested answers", "flat answers"])
async def test_each_documented_form_of_a_creation_is_accepted(name: str) -> None:
    bench = ApiHarness()
    body = bench.app.openapi()["paths"]["/v1/characters"]["post"]["requestBody"]["content"][JSON]
    answer = await bench.http.post("/v1/characters", json=body["examples"][name]["value"])
    assert answer.status_code == 202, answer.text
    assert answer.json()["character"]["appearance"]["hair_color"] == "auburn"


@pytest.mark.parametrize(
    ("body", "is_valid"),
    [
        ({"name": "Mia", "age": 27, "hairColor": "red"}, True),
        ({"character": {"name": "Mia", "age": 27, "hairColor": "red"}}, True),
        ({"name": "Mia", "age": 27, "hairColour": "red"}, False),
        ({"name": "Mia"}, False),
        ({"id": "char-1"}, False),
    ],
)
def test_the_schema_of_a_creation_has_both_forms(body: dict[str, Any], is_valid: bool) -> None:
    document = application("api").openapi()
    schema = document["components"]["schemas"]["CharacterCreation"] | {"components": document["components"]}
    assert jsonschema_rs.validator_for(schema).is_valid(body) == is_valid


def examples_in(described: dict[str, Any]) -> list[Any]:
    """Return the examples of a body or a parameter."""
    named = [example["value"] for example in described.get("examples", {}).values()]
    return [described["example"], *named] if "example" in described else named


def success_bodies(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the bodies of all answers with a success status."""
    answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    return [body for answer in answers for body in answer.get("content", {}).values()]


@pytest.mark.parametrize("service", ["api", "notifier"])
def test_bounds_are_exact_and_each_schema_is_listed_once(service: str) -> None:
    document = application(service).openapi()
    assert not [name for name in document["components"]["schemas"] if name.endswith(("-Input", "-Output"))]
    text = json.dumps(document)
    assert "e+" not in text, "a bound is rounded"
    assert (str(LARGEST_SEED) in text) == (service == "api")


def test_examples_with_ids_of_others_say_that_they_must_be_replaced() -> None:
    paths = application("api").openapi()["paths"]
    for path in ("/v1/character-sheets", "/v1/lora-trainings", "/v1/characters/{character_id}/base-image"):
        assert "Replace" in paths[path]["post"]["description"], path
