"""The OpenAPI documents: every operation is described, its examples are valid, and its schema is honest."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from tests.component.test_documentation import application

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
        assert "example" in operation["requestBody"]["content"][JSON]


@pytest.mark.parametrize(("document", "operation"), OPERATIONS)
def test_every_example_is_valid_by_its_schema(document: dict[str, Any], operation: dict[str, Any]) -> None:
    described = [*success_bodies(operation), *operation.get("parameters", ())]
    described += operation.get("requestBody", {}).get("content", {}).values()
    for each in described:
        if "example" in each and "schema" in each:
            schema = {**each["schema"], "components": document["components"]}
            jsonschema_rs.validator_for(schema, validate_formats=True).validate(each["example"])


def success_bodies(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the bodies of all answers with a success status."""
    answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    return [body for answer in answers for body in answer.get("content", {}).values()]
